static int is_timer(__u64 id)
{
	return id == KVM_REG_ARM_TIMER_CTL || id == KVM_REG_ARM_TIMER_CVAL ||
	       id == KVM_REG_ARM_PTIMER_CTL || id == KVM_REG_ARM_PTIMER_CVAL;
}

/* KVM_ARM_VCPU_INIT again, with the registers as they were, counters excepted. */
static long reinit(@p@int with_timers)
{
	static struct { __u64 n, id[2048]; } list = { .n = 2048 };
	static __u64 value[2048][32];
	struct kvm_vcpu_init init;
	struct kvm_one_reg reg;
	__u64 i;

	/* The access that asked for this is still to be completed. */
	@r@run->immediate_exit = 1;
	ioctl(@r@fd, KVM_RUN, 0);
	@r@run->immediate_exit = 0;
	must(ioctl(@r@fd, KVM_GET_REG_LIST, &list));
	for (i = 0; i < list.n; i++) {
		reg = (struct kvm_one_reg){ list.id[i], (__u64)value[i] };
		must(ioctl(@r@fd, KVM_GET_ONE_REG, &reg));
	}
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
//if psci
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
//end
	must(ioctl(@r@fd, KVM_ARM_VCPU_INIT, &init));
	for (i = 0; i < list.n; i++) {
		reg = (struct kvm_one_reg){ list.id[i], (__u64)value[i] };
		if (reg.id == KVM_REG_ARM_TIMER_CNT || reg.id == KVM_REG_ARM_PTIMER_CNT ||
		    (is_timer(reg.id) && !with_timers))
			continue;
		if (ioctl(@r@fd, KVM_SET_ONE_REG, &reg) < 0)
			printf("# register %#llx is refused, errno %d\n", reg.id, errno);
	}
	return 0;
}
