static long set_mp_state(@p@__u32 state)
{
	return ioctl(@r@fd, KVM_SET_MP_STATE, &(struct kvm_mp_state){ state });
}
