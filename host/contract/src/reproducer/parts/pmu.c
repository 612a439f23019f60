static void create_pmu(struct vcpu *v)
{
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL,
		.attr = KVM_ARM_VCPU_PMU_V3_INIT,
	};

	must(ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr), "KVM_ARM_VCPU_PMU_V3_INIT");
}
