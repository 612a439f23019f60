//! The one change made to QEMU's device tree: an interrupt controller without virtualisation.
//!
//! Without the maintenance interrupt in the GIC's node, KVM finds no virtual GIC in the host, as on machines whose GIC
//! has none (Devicetree Specification v0.4, section 5, for the format).

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

const DAMAGED: &str = "the device tree that QEMU wrote is damaged";

fn word(tree: &[u8], at: usize) -> Result<u32, &'static str> {
    let bytes = tree.get(at..at + 4).ok_or(DAMAGED)?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn string(tree: &[u8], at: usize) -> Result<Vec<u8>, &'static str> {
    let rest = tree.get(at..).ok_or(DAMAGED)?;
    Ok(rest.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
}

/// Cuts off the room that QEMU leaves behind the tree. It would double it when it reads the tree back, beyond the 2 MiB
/// that the kernel allows for one.
pub(crate) fn pack(tree: &mut Vec<u8>) -> Result<(), &'static str> {
    if word(tree, 0)? != MAGIC {
        return Err(DAMAGED);
    }
    let end_of = |offset, size| Ok::<_, &'static str>(word(tree, offset)?.saturating_add(word(tree, size)?));
    let (strings, structure) = (end_of(12, 32)?, end_of(8, 36)?);
    let end = strings.max(structure);
    if end as usize > tree.len() {
        return Err(DAMAGED);
    }
    tree.truncate(end as usize);
    tree[4..8].copy_from_slice(&end.to_be_bytes());
    Ok(())
}

/// Overwrites the GIC's `interrupts` property with "nothing here". What is wrong, if it can't be done.
pub(crate) fn remove_gic_maintenance_interrupt(tree: &mut [u8]) -> Result<(), &'static str> {
    if word(tree, 0)? != MAGIC {
        return Err(DAMAGED);
    }
    let (structure, strings) = (word(tree, 8)? as usize, word(tree, 12)? as usize);

    /// What is known of a node while its properties are read.
    #[derive(Default)]
    struct Node {
        is_gic: bool,
        interrupts: Option<(usize, usize)>,
    }
    let mut open: Vec<Node> = Vec::new();
    let mut at = structure;
    loop {
        let token = word(tree, at)?;
        let start = at;
        at += 4;
        match token {
            BEGIN_NODE => {
                open.push(Node::default());
                at = (at + string(tree, at)?.len() + 1).next_multiple_of(4);
            }
            PROP => {
                let length = word(tree, at)? as usize;
                let name = string(tree, strings + word(tree, at + 4)? as usize)?;
                let value = tree.get(at + 8..at + 8 + length).ok_or(DAMAGED)?;
                at = (at + 8 + length).next_multiple_of(4);
                let node = open.last_mut().ok_or(DAMAGED)?;
                match name.as_slice() {
                    b"compatible" => {
                        let mut names = value.split(|&byte| byte == 0);
                        node.is_gic |= names.any(|name| name == b"arm,gic-v3" || name == b"arm,cortex-a15-gic");
                    }
                    b"interrupts" => node.interrupts = Some((start, at)),
                    _ => {}
                }
            }
            END_NODE => {
                let node = open.pop().ok_or(DAMAGED)?;
                if let (true, Some((from, to))) = (node.is_gic, node.interrupts) {
                    for word in tree[from..to].chunks_exact_mut(4) {
                        word.copy_from_slice(&NOP.to_be_bytes());
                    }
                    return Ok(());
                }
            }
            NOP => {}
            END => return Err("the device tree that QEMU wrote has no GIC with a maintenance interrupt"),
            _ => return Err(DAMAGED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with these nodes below the root, each with a `compatible` and an `interrupts` property.
    fn tree(compatibles: &[&str]) -> Vec<u8> {
        let mut structure = Vec::new();
        const STRINGS: u32 = 22;
        let strings: &[u8; STRINGS as usize] = b"compatible\0interrupts\0";
        let word = |out: &mut Vec<u8>, value: u32| out.extend(value.to_be_bytes());
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(4), 0);
        word(&mut structure, BEGIN_NODE);
        word(&mut structure, 0);
        for compatible in compatibles {
            word(&mut structure, BEGIN_NODE);
            structure.extend(b"node@0\0");
            pad(&mut structure);
            word(&mut structure, PROP);
            word(&mut structure, 12);
            word(&mut structure, 11);
            structure.extend([0xaa; 12]);
            word(&mut structure, PROP);
            word(&mut structure, u32::try_from(compatible.len()).unwrap() + 1);
            word(&mut structure, 0);
            structure.extend(compatible.as_bytes());
            structure.push(0);
            pad(&mut structure);
            word(&mut structure, END_NODE);
        }
        word(&mut structure, END_NODE);
        word(&mut structure, END);
        let mut tree = Vec::new();
        let header = 40_u32;
        let length = u32::try_from(structure.len()).unwrap();
        for value in [MAGIC, 0, header, header + length, 0, 17, 16, 0, STRINGS, length] {
            word(&mut tree, value);
        }
        tree.extend(structure);
        tree.extend(strings);
        tree
    }

    fn interrupts(tree: &[u8]) -> usize {
        tree.windows(12).filter(|window| window == &[0xaa; 12]).count()
    }

    #[test]
    fn only_the_gic_loses_its_interrupt_and_nothing_moves() {
        for gic in ["arm,gic-v3", "arm,cortex-a15-gic"] {
            let before = tree(&["arm,pl011", gic, "arm,pl031"]);
            let mut after = before.clone();
            remove_gic_maintenance_interrupt(&mut after).unwrap();
            assert_eq!((interrupts(&before), interrupts(&after), after.len()), (3, 2, before.len()), "{gic}");
            assert!(remove_gic_maintenance_interrupt(&mut after).unwrap_err().contains("no GIC"), "{gic}");
        }
    }

    #[test]
    fn a_packed_tree_ends_where_its_strings_end_and_says_so() {
        let whole = tree(&["arm,gic-v3"]);
        let mut roomy = [whole.clone(), vec![0; 1000]].concat();
        pack(&mut roomy).unwrap();
        assert_eq!(word(&roomy, 4), Ok(u32::try_from(whole.len()).unwrap()));
        assert_eq!(roomy[8..], whole[8..]);
        assert_eq!(pack(&mut whole[..whole.len() - 1].to_vec()), Err(DAMAGED));
    }

    #[test]
    fn a_damaged_tree_is_an_error_and_no_panic() {
        let whole = tree(&["arm,pl011"]);
        for end in 0..whole.len() - 22 {
            assert!(remove_gic_maintenance_interrupt(&mut whole[..end].to_vec()).is_err(), "cut at {end}");
        }
    }
}
