/* Whether each MMIO exit of a step showed these levels; there is one. */
static int levels_at(struct vcpu *v, int step, long levels)
{
	int i, seen = 0;

	for (i = 0; i < v->returns; i++) {
		if (AT(v->ret[i]) != step ||
		    v->ret[i].error || v->ret[i].reason != KVM_EXIT_MMIO)
			continue;
		if (v->ret[i].levels != levels)
			return 0;
		seen = 1;
	}
	return seen;
}
