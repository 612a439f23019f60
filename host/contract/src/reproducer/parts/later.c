static void *another_thread(void *action)
{
	act(@nobody@(long)action);
	return NULL;
}

/* Another thread does it; it comes first where that is allowed. */
static void later(long action)
{
	struct sched_param first = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &first);
	if (pthread_create(&thread, &attr, another_thread, (void *)action))
		must(-pthread_create(&thread, NULL, another_thread, (void *)action));
}
