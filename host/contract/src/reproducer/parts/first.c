/* The levels of the first return from one step to another. */
static long first(struct vcpu *v, int from, int to)
{
	int i;

	for (i = 0; i < v->returns; i++)
		if (v->ret[i].step >= from && v->ret[i].step <= to)
			return v->ret[i].levels;
	return ANY;
}
