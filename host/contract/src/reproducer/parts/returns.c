/* How many returns from one step to another showed these levels. */
static int returns(@p@int from, int to, long levels)
{
	int i, seen = 0;

	for (i = 0; i < @r@nr; i++)
		seen += @r@ret[i].step >= from && @r@ret[i].step <= to &&
			(levels == ANY || @r@ret[i].levels == levels);
	return seen;
}
