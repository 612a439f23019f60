/* The levels of the first return from one step to another. */
static long first(@p@int from, int to)
{
	int i;

	for (i = 0; i < @r@nr; i++)
		if (@r@ret[i].step >= from && @r@ret[i].step <= to)
			return @r@ret[i].levels;
	return ANY;
}
