static long set_line(struct vcpu *v, int line, int level)
{
	struct kvm_irq_level irq = {
		.irq = (v->id >> 8) << KVM_ARM_IRQ_VCPU2_SHIFT |
		       (v->id & 0xff) << KVM_ARM_IRQ_VCPU_SHIFT | line,
		.level = level,
	};

	return ioctl(vm, KVM_IRQ_LINE, &irq);
}
