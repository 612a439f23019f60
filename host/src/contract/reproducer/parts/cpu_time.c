/* How long the threads of this program have had a CPU, in ticks. */
static long cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return us(now.tv_sec * 1000000 + now.tv_nsec / 1000);
}
