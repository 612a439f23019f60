#define CORE(name)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
			 KVM_REG_ARM_CORE_REG(regs.name))

static long get_reg(@p@__u64 id)
{
	__u64 value = 0;
	struct kvm_one_reg reg = { .id = id, .addr = (__u64)&value };

	return ioctl(@r@fd, KVM_GET_ONE_REG, &reg) < 0 ? -1 : (long)value;
}
//if set_reg

static long set_reg(@p@__u64 id, __u64 value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (__u64)&value };

	return ioctl(@r@fd, KVM_SET_ONE_REG, &reg);
}
//end
