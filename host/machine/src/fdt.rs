//! The device tree that describes the machine, as QEMU's `virt` machine is described to its guests.
//!
//! Bindings: Linux, Documentation/devicetree/bindings; `chosen` and `memory`: Devicetree Specification v0.4, 3.4 and 3.6.

use std::ops::Range;

use vm_fdt::{Error, FdtWriter};
use vtick_abi::layout::{GICC_BASE, GICC_SIZE, GICD_BASE, GICD_SIZE};

use super::bus::Bus;
use super::map::{self, Window};
use super::pl011::UARTCLK;

const GIC_PHANDLE: u32 = 1;
const CLOCK_PHANDLE: u32 = 2;
// First and last cell of an interrupt specifier (arm,gic.yaml).
const SPI: u32 = 0;
const PPI: u32 = 1;
const LEVEL_HIGH: u32 = 4;
/// PPIs of the timers, secure physical, physical, virtual and hypervisor: INTID - 16 (Arm BSA; arm,arch_timer.yaml).
const TIMERS: [u32; 4] = [13, 14, 11, 10];
/// PPI of the PMU (Arm BSA; arm,pmu.yaml).
const PMU: u32 = 7;
/// What the guest's random pool starts from. The same in every run, so that runs are the same; nothing here is secret.
const RNG_SEED: [u8; 64] = *b"vtick starts each guest from these same bytes, to run it again..";

/// What there is to describe, besides what every machine has.
#[derive(Clone, Debug)]
pub struct Hardware<'a> {
    /// vCPUs, 1 to 8.
    pub cpus: usize,
    /// The CPUs have a PMU.
    pub pmu: bool,
    /// Guest physical addresses of RAM.
    pub ram: Range<u64>,
    /// The kernel's command line.
    pub bootargs: &'a str,
    /// Where the initrd is.
    pub initrd: Option<Range<u64>>,
}

/// The device tree of a machine with these devices.
pub fn device_tree(hardware: &Hardware<'_>, bus: &Bus) -> Result<Vec<u8>, Error> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_string("compatible", "linux,dummy-virt")?;
    fdt.property_string("model", "vtick")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_u32("interrupt-parent", GIC_PHANDLE)?;
    chosen(&mut fdt, hardware)?;
    processors(&mut fdt, hardware)?;
    interrupts(&mut fdt, hardware)?;
    devices(&mut fdt, bus)?;
    fdt.end_node(root)?;
    fdt.finish()
}

fn chosen(fdt: &mut FdtWriter, hardware: &Hardware<'_>) -> Result<(), Error> {
    let chosen = fdt.begin_node("chosen")?;
    fdt.property_string("bootargs", hardware.bootargs)?;
    fdt.property_string("stdout-path", &format!("/pl011@{:x}", map::UART.base))?;
    fdt.property("rng-seed", &RNG_SEED)?;
    if let Some(initrd) = &hardware.initrd {
        fdt.property_u64("linux,initrd-start", initrd.start)?;
        fdt.property_u64("linux,initrd-end", initrd.end)?;
    }
    fdt.end_node(chosen)?;
    let memory = fdt.begin_node(&format!("memory@{:x}", hardware.ram.start))?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[hardware.ram.start, hardware.ram.end - hardware.ram.start])?;
    fdt.end_node(memory)
}

fn processors(fdt: &mut FdtWriter, hardware: &Hardware<'_>) -> Result<(), Error> {
    let cpus = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    for index in 0..hardware.cpus as u32 {
        let cpu = fdt.begin_node(&format!("cpu@{index:x}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_string("compatible", "arm,armv8")?;
        // KVM gives vCPU n the affinity n, up to 15.
        fdt.property_u32("reg", index)?;
        fdt.property_string("enable-method", "psci")?;
        fdt.end_node(cpu)?;
    }
    fdt.end_node(cpus)?;
    let psci = fdt.begin_node("psci")?;
    fdt.property_string_list("compatible", vec!["arm,psci-1.0".to_owned(), "arm,psci-0.2".to_owned()])?;
    fdt.property_string("method", "hvc")?;
    fdt.end_node(psci)
}

fn interrupts(fdt: &mut FdtWriter, hardware: &Hardware<'_>) -> Result<(), Error> {
    let gic = fdt.begin_node(&format!("intc@{GICD_BASE:x}"))?;
    fdt.property_string("compatible", "arm,cortex-a15-gic")?;
    fdt.property_phandle(GIC_PHANDLE)?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 3)?;
    fdt.property_array_u64("reg", &[GICD_BASE, GICD_SIZE, GICC_BASE, GICC_SIZE])?;
    fdt.end_node(gic)?;
    let timer = fdt.begin_node("timer")?;
    fdt.property_string_list("compatible", vec!["arm,armv8-timer".to_owned(), "arm,armv7-timer".to_owned()])?;
    // A GICv2 wants to know which CPUs a PPI is for: a bit each, from bit 8.
    let flags = ((1 << hardware.cpus) - 1) << 8 | LEVEL_HIGH;
    let cells: Vec<u32> = TIMERS.into_iter().flat_map(|ppi| [PPI, ppi, flags]).collect();
    fdt.property_array_u32("interrupts", &cells)?;
    fdt.property_null("always-on")?;
    fdt.end_node(timer)?;
    if hardware.pmu {
        let pmu = fdt.begin_node("pmu")?;
        fdt.property_string("compatible", "arm,armv8-pmuv3")?;
        fdt.property_array_u32("interrupts", &[PPI, PMU, flags])?;
        fdt.end_node(pmu)?;
    }
    Ok(())
}

fn devices(fdt: &mut FdtWriter, bus: &Bus) -> Result<(), Error> {
    let clock = fdt.begin_node("apb-pclk")?;
    fdt.property_string("compatible", "fixed-clock")?;
    fdt.property_u32("#clock-cells", 0)?;
    fdt.property_u32("clock-frequency", UARTCLK)?;
    fdt.property_string("clock-output-names", "clk24mhz")?;
    fdt.property_phandle(CLOCK_PHANDLE)?;
    fdt.end_node(clock)?;
    if bus.has(map::UART) {
        primecell(fdt, "pl011", map::UART, &["uartclk", "apb_pclk"])?;
    }
    if bus.has(map::RTC) {
        primecell(fdt, "pl031", map::RTC, &["apb_pclk"])?;
    }
    // The firmware's own bank is read-only memory, which is no flash.
    if let Some(flash) = bus.at(map::FLASH[1].base) {
        let node = fdt.begin_node(&format!("flash@{:x}", flash.base))?;
        fdt.property_string("compatible", "cfi-flash")?;
        fdt.property_array_u64("reg", &[flash.base, flash.size])?;
        fdt.property_u32("bank-width", 4)?;
        fdt.end_node(node)?;
    }
    if bus.has(map::FW_CFG) {
        let fw_cfg = fdt.begin_node(&format!("fw-cfg@{:x}", map::FW_CFG.base))?;
        fdt.property_string("compatible", "qemu,fw-cfg-mmio")?;
        fdt.property_array_u64("reg", &[map::FW_CFG.base, map::FW_CFG.size])?;
        fdt.property_null("dma-coherent")?;
        fdt.end_node(fw_cfg)?;
    }
    for window in (0..map::VIRTIO_SLOTS).map(map::virtio).filter(|window| bus.has(*window)) {
        let virtio = fdt.begin_node(&format!("virtio_mmio@{:x}", window.base))?;
        fdt.property_string("compatible", "virtio,mmio")?;
        place(fdt, window)?;
        fdt.property_null("dma-coherent")?;
        fdt.end_node(virtio)?;
    }
    Ok(())
}

/// One of Arm's PrimeCells, which Linux recognises by the identification registers (arm,primecell.yaml).
fn primecell(fdt: &mut FdtWriter, name: &str, window: Window, clocks: &[&str]) -> Result<(), Error> {
    let node = fdt.begin_node(&format!("{name}@{:x}", window.base))?;
    fdt.property_string_list("compatible", vec![format!("arm,{name}"), "arm,primecell".to_owned()])?;
    place(fdt, window)?;
    fdt.property_array_u32("clocks", &vec![CLOCK_PHANDLE; clocks.len()])?;
    fdt.property_string_list("clock-names", clocks.iter().map(|&name| name.to_owned()).collect())?;
    fdt.end_node(node)
}

fn place(fdt: &mut FdtWriter, window: Window) -> Result<(), Error> {
    fdt.property_array_u64("reg", &[window.base, window.size])?;
    window.spi.map_or(Ok(()), |spi| fdt.property_array_u32("interrupts", &[SPI, spi, LEVEL_HIGH]))
}

#[cfg(test)]
mod tests {
    use dtoolkit::fdt::Fdt;
    use dtoolkit::{Node, Property};

    use super::*;
    use crate::{Device, Port};

    struct Nothing;

    impl Device for Nothing {
        fn read(&mut self, _: u64, _: &mut [u8]) {}
        fn write(&mut self, _: u64, _: &[u8]) {}
        fn output(&self) -> bool {
            false
        }
    }

    /// The tree of a machine with two vCPUs, a UART and one virtio transport, and perhaps flash.
    fn tree(flash: Option<Window>) -> Vec<u8> {
        tree_with(flash, false)
    }

    fn tree_with(flash: Option<Window>, pmu: bool) -> Vec<u8> {
        let mut bus = Bus::new(crate::time::manual::clock());
        for window in [map::UART, map::virtio(2)].into_iter().chain(flash) {
            bus.attach(window, Port::new(window, Nothing));
        }
        let ram = 0x4000_0000..0x4800_0000;
        let initrd = Some(0x4200_0000..0x4200_1000);
        device_tree(&Hardware { cpus: 2, pmu, ram, bootargs: "console=ttyAMA0", initrd }, &bus).unwrap()
    }

    fn cells(tree: &[u8], node: &str, property: &str) -> Vec<u32> {
        let fdt = Fdt::new(tree).unwrap();
        let node = fdt.find_node(node).unwrap_or_else(|| panic!("no node {node}"));
        let property = node.property(property).unwrap_or_else(|| panic!("no property {property}"));
        property.value().chunks(4).map(|cell| u32::from_be_bytes(cell.try_into().unwrap())).collect()
    }

    #[test]
    fn it_says_where_memory_initrd_and_interrupt_controller_are() {
        let tree = tree(None);
        assert_eq!(cells(&tree, "/memory@40000000", "reg"), [0, 0x4000_0000, 0, 0x800_0000]);
        assert_eq!(cells(&tree, "/chosen", "linux,initrd-start"), [0, 0x4200_0000]);
        assert_eq!(cells(&tree, "/chosen", "linux,initrd-end"), [0, 0x4200_1000]);
        assert_eq!(cells(&tree, "/intc@8000000", "reg"), [0, 0x800_0000, 0, 0x1000, 0, 0x801_0000, 0, 0x2000]);
    }

    #[test]
    fn the_timers_are_ppis_of_every_cpu_and_active_high() {
        let due: Vec<u32> = [13, 14, 11, 10].into_iter().flat_map(|ppi| [1, ppi, 0x304]).collect();
        assert_eq!(cells(&tree(None), "/timer", "interrupts"), due);
    }

    #[test]
    fn every_cpu_and_every_device_that_exists_has_a_node_and_no_other() {
        let tree = tree(None);
        let fdt = Fdt::new(&tree).unwrap();
        for (node, due) in [
            ("/cpus/cpu@0", true),
            ("/cpus/cpu@1", true),
            ("/cpus/cpu@2", false),
            ("/pl011@9000000", true),
            ("/pl031@9010000", false),
            ("/virtio_mmio@a000400", true),
            ("/virtio_mmio@a000000", false),
            ("/fw-cfg@9020000", false),
            ("/flash@4000000", false),
        ] {
            assert_eq!(fdt.find_node(node).is_some(), due, "{node}");
        }
        assert_eq!(cells(&tree, "/virtio_mmio@a000400", "interrupts"), [0, 18, 4]);
        assert_eq!(cells(&tree, "/pl011@9000000", "interrupts"), [0, 1, 4]);
    }

    #[test]
    fn a_pmu_is_there_where_the_cpus_have_one_and_its_interrupt_is_a_ppi_of_every_cpu() {
        assert!(Fdt::new(&tree(None)).unwrap().find_node("/pmu").is_none());
        assert_eq!(cells(&tree_with(None, true), "/pmu", "interrupts"), [1, 7, 0x304]);
    }

    #[test]
    fn flash_is_as_large_as_it_is() {
        let flash = Window { size: 0x10_0000, ..map::FLASH[1] };
        assert_eq!(cells(&tree(Some(flash)), "/flash@4000000", "reg"), [0, 0x400_0000, 0, 0x10_0000]);
    }

    #[test]
    fn the_same_machine_has_the_same_tree() {
        assert_eq!(tree(None), tree(None));
    }
}
