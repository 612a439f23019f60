/* How many returns from one step to another showed these levels. */
static int returns(struct vcpu *v, int from, int to, long levels)
{
	int i, seen = 0;

	for (i = 0; i < v->returns; i++)
		seen += v->ret[i].step >= from && v->ret[i].step <= to &&
			(levels == ANY || v->ret[i].levels == levels);
	return seen;
}
