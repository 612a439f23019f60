/* Of the interrupt of a timer: its number, or an error. */
static long timer_interrupt(@p@unsigned long request, __u64 which, int intid)
{
	struct kvm_device_attr attr = { 0, KVM_ARM_VCPU_TIMER_CTRL, which, (__u64)&intid };

	if (ioctl(@r@fd, request, &attr) < 0)
		return -1;
	return request == KVM_GET_DEVICE_ATTR ? intid : 0;
}
