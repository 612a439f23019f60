/* The levels of the first return from one step to another. */
static __u64 first(@p@__u64 from, __u64 to)
{
	for (struct ret *r = @r@ret; r < @r@ret + @r@nr; r++)
		if (r->step >= from && r->step <= to)
			return r->levels;
	return ~0ULL;
}
