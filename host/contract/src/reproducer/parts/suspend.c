static long set_mp_state(@p@__u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	return ioctl(@r@fd, KVM_SET_MP_STATE, &mp);
}
