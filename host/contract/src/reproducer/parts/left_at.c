/* When the MMIO exit of a step came, on the host's counter. */
static __u64 left_at(struct vcpu *v, int step)
{
	int i;

	for (i = 0; i < v->returns; i++)
		if (AT(v->ret[i]) == step &&
		    v->ret[i].reason == KVM_EXIT_MMIO)
			return v->ret[i].at;
	return 0;
}
