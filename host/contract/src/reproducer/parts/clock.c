//if counter
static __u64 counter(void)
{
	__u64 now;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
	return now;
}
//end
//if us
//if counter

//end
/* So many microseconds in ticks of the counter. */
#define us(n)	({ __u64 hz_; asm("mrs %0, cntfrq_el0" : "=r"(hz_)); (n) * hz_ / 1000000; })
//end
//if offset_ioctl

static long set_counter_offset(__u64 ticks)
{
	__u64 argument[2] = { ticks, 0 };

	/* KVM_ARM_SET_COUNTER_OFFSET, of Linux 6.4 */
	return ioctl(vm, _IOC(_IOC_WRITE, KVMIO, 0xb5, sizeof(argument)), argument);
}
//end
