//if clock
static __u64 counter(void)
{
	__u64 now;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
	return now;
}
//end
//if us
//if clock

//end
/* So many microseconds in ticks of the counter. */
static __u64 us(__u64 microseconds)
{
	__u64 frequency;

	asm("mrs %0, cntfrq_el0" : "=r"(frequency));
	return microseconds * frequency / 1000000;
}
//end
//if offset_ioctl

static long set_counter_offset(__u64 ticks)
{
	__u64 argument[2] = { ticks, 0 };

	/* KVM_ARM_SET_COUNTER_OFFSET, of Linux 6.4 */
	return ioctl(vm, _IOC(_IOC_WRITE, KVMIO, 0xb5, sizeof(argument)), argument);
}
//end
