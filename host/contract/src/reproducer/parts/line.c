static long set_line(@p@int line, int level)
{
//if threads
	struct kvm_irq_level irq = {
		.irq = (v->id >> 8) << KVM_ARM_IRQ_VCPU2_SHIFT |
		       (v->id & 0xff) << KVM_ARM_IRQ_VCPU_SHIFT | line,
		.level = level,
	};
//end
//if alone
	struct kvm_irq_level irq = { .irq = line, .level = level };
//end

	return ioctl(vm, KVM_IRQ_LINE, &irq);
}
