/* Whether each MMIO exit of a step showed these levels; there is one. */
static int levels_at(@p@__u64 step, __u64 levels)
{
	int seen = 0, good = 0;

	for (struct ret *r = @r@ret; r < @r@ret + @r@nr; r++)
		if (@at@ == step && r->reason == KVM_EXIT_MMIO) {
			seen++;
			good += r->levels == levels;
		}
	return seen && good == seen;
}
