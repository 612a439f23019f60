//! The interrupt controllers that KVM itself emulates.

/// An in-kernel interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vgic {
    /// KVM_DEV_TYPE_ARM_VGIC_V2: on a host with a GICv2, or with a GICv3 that is compatible.
    V2,
    /// KVM_DEV_TYPE_ARM_VGIC_V3.
    V3,
}

impl std::fmt::Display for Vgic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Vgic::V2 => "vGICv2",
            Vgic::V3 => "vGICv3",
        })
    }
}
