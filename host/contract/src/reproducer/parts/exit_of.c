/* The MMIO exit of a step. */
static struct ret *exit_of(@p@__u64 step)
{
	static struct ret never = { @never@ };

	for (struct ret *r = @r@ret; r < @r@ret + @r@nr; r++)
		if (@at@ == step && r->reason == KVM_EXIT_MMIO)
			return r;
	return &never;
}
