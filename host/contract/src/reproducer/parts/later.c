static void act_late(struct vcpu *v, int action, int late);

static struct chore {
	struct vcpu *v;
	int action, us;
} chores[@actions@];

static void *another_thread(void *arg)
{
	struct chore *chore = arg;

	usleep(chore->us);
	act_late(chore->v, chore->action, 1);
	return NULL;
}

/* Another thread does it after a while; it comes first where that is allowed. */
static void later(struct vcpu *v, int action, int us)
{
	struct sched_param first = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t thread;

	chores[action] = (struct chore){ v, action, us };
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &first);
	if (pthread_create(&thread, &attr, another_thread, &chores[action]))
		must(-pthread_create(&thread, NULL, another_thread, &chores[action]));
	pthread_detach(thread);
}
