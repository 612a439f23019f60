/* How long this vCPU has had a CPU, in ticks. */
static long cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return us(now.tv_sec * 1000000 + now.tv_nsec / 1000);
}
