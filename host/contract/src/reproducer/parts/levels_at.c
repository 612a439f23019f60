/* Whether each MMIO exit of a step showed these levels; there is one. */
static int levels_at(@p@int step, long levels)
{
	int i, seen = 0;

	for (i = 0; i < @r@nr; i++) {
		if (AT(@r@ret[i]) != step ||
		    @r@ret[i].error || @r@ret[i].reason != KVM_EXIT_MMIO)
			continue;
		if (@r@ret[i].levels != levels)
			return 0;
		seen = 1;
	}
	return seen;
}
