static __u64 get_reg(@p@__u64 id)
{
	__u64 value = 0;

//if gets
	if (ioctl(@r@fd, KVM_GET_ONE_REG, &(struct kvm_one_reg){ id, (__u64)&value }) < 0)
		return -1;
//end
//if no_gets
	must(ioctl(@r@fd, KVM_GET_ONE_REG, &(struct kvm_one_reg){ id, (__u64)&value }));
//end
	return value;
}

//if alone
#define X(n)	get_reg(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
			KVM_REG_ARM_CORE_REG(regs.regs[n]))
//end
//if threads
#define CORE(name)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
			 KVM_REG_ARM_CORE_REG(regs.name))
#define X(v, n)		get_reg(v, CORE(regs[n]))
//end
//if set_reg

static long set_reg(@p@__u64 id, __u64 value)
{
	return ioctl(@r@fd, KVM_SET_ONE_REG, &(struct kvm_one_reg){ id, (__u64)&value });
}
//end
