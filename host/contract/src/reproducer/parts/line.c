//if alone
static long set_line(int line, int level)
{
	return ioctl(vm, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = line, .level = level });
}
//end
//if threads
static long set_line(struct vcpu *v, int line, int level)
{
	int irq = (v->id >> 8) << KVM_ARM_IRQ_VCPU2_SHIFT |
		  (v->id & 0xff) << KVM_ARM_IRQ_VCPU_SHIFT | line;

	return ioctl(vm, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = irq, .level = level });
}
//end
