/* This thread moves to the next CPU that it may run on. */
static long migrate(void)
{
	int here = sched_getcpu(), next = here;
	cpu_set_t allowed, only;

	must(sched_getaffinity(0, sizeof(allowed), &allowed));
	do {
		next = (next + 1) % CPU_SETSIZE;
	} while (!CPU_ISSET(next, &allowed));
	errno = ENODEV;
	if (next == here)
		return -1;
	CPU_ZERO(&only);
	CPU_SET(next, &only);
	return sched_setaffinity(0, sizeof(only), &only);
}
