static void set_attr(int fd, int group, int attr, __u64 value)
{
	struct kvm_device_attr request = { 0, group, attr, (__u64)&value };

	must(ioctl(fd, KVM_SET_DEVICE_ATTR, &request));
}

static void create_vgic(void)
{
//if v2
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_ARM_VGIC_V2 };
//end
//if v3
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
//end

	if (ioctl(vm, KVM_CREATE_DEVICE, &create) < 0)
		end(4, "this host has no such GIC for its guests");
//if v2
	set_attr(create.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, 0x8000000);
	set_attr(create.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, 0x8010000);
//end
//if v3
	set_attr(create.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x8000000);
	set_attr(create.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x80a0000);
//end
	set_attr(create.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}
