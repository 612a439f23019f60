static void create_pmu(@p0@)
{
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL,
		.attr = KVM_ARM_VCPU_PMU_V3_INIT,
	};

	must(ioctl(@r@fd, KVM_SET_DEVICE_ATTR, &attr));
}
