static long set_mp_state(struct vcpu *v, __u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	return ioctl(v->fd, KVM_SET_MP_STATE, &mp);
}
