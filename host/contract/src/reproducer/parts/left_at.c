/* When the MMIO exit of a step came, on the host's counter. */
static __u64 left_at(@p@int step)
{
	int i;

	for (i = 0; i < @r@nr; i++)
		if (AT(@r@ret[i]) == step &&
		    @r@ret[i].reason == KVM_EXIT_MMIO)
			return @r@ret[i].at;
	return 0;
}
