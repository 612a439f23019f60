/* A vCPU is given a PMU that is never set up, run, and initialised again. */
static long forbidden(void)
{
	int other = must(ioctl(kvm, KVM_CREATE_VM, 0));
	int fd = must(ioctl(other, KVM_CREATE_VCPU, 0));
	struct kvm_vcpu_init init;
	long ret;

	must(ioctl(other, KVM_ARM_PREFERRED_TARGET, &init));
	init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
	must(ioctl(fd, KVM_ARM_VCPU_INIT, &init));
	ret = ioctl(fd, KVM_RUN, 0) < 0 ? -errno : 0;
	must(ioctl(fd, KVM_ARM_VCPU_INIT, &init));
	errno = -ret;
	return ret ? -1 : 0;
}
