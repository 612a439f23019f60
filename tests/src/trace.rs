//! What a trace for ui.perfetto.dev says of a guest's interrupts and of its console.

use serde_json::Value;

/// The console's data register, on the machine that guests boot on.
const UARTDR: &str = "write 0x9000000";

/// An access of the guest to a device.
struct Access {
    vcpu: usize,
    at: f64,
    name: String,
    value: u64,
}

/// The accesses in a trace.
pub struct Accesses(Vec<Access>);

impl Accesses {
    /// Reads a trace.
    ///
    /// # Panics
    /// If it is none.
    pub fn read(json: &str) -> Accesses {
        // An event a line: all of them at once would be a lot.
        let events = json.lines().filter_map(|line| line.trim_end_matches(',').strip_prefix('{'));
        let events = events.filter(|event| event.starts_with("\"ph\":\"B\""));
        let mut accesses: Vec<_> = events
            .filter_map(|event| {
                let event: Value = serde_json::from_str(&format!("{{{event}")).expect("an event");
                let value = event["args"]["value"].as_str()?.trim_start_matches("0x").to_owned();
                Some(Access {
                    vcpu: event["tid"].as_u64().expect("a thread") as usize - 1,
                    at: event["ts"].as_f64().expect("a time"),
                    name: event["name"].as_str().expect("a name").to_owned(),
                    value: u64::from_str_radix(&value, 16).expect("a number"),
                })
            })
            .collect();
        accesses.sort_by(|one, other| one.at.total_cmp(&other.at));
        assert!(!accesses.is_empty(), "a trace with accesses in it was due");
        Accesses(accesses)
    }

    /// When the guest began to print `text`.
    pub fn printed(&self, text: &str) -> Option<f64> {
        let characters: Vec<_> = self.0.iter().filter(|access| access.name == UARTDR).collect();
        let begins = |window: &&[&Access]| window.iter().map(|access| access.value as u8).eq(text.bytes());
        characters.windows(text.len()).find(begins).map(|window| window[0].at)
    }

    /// How often a vCPU had acknowledged an interrupt by then, and how often it had ended it.
    pub fn taken(&self, vcpu: usize, intid: u64, by: f64) -> (u64, u64) {
        let count = |name: &str| {
            let of_it = |access: &&Access| access.vcpu == vcpu && access.name == name && access.value & 0x3ff == intid;
            self.0.iter().take_while(|access| access.at < by).filter(of_it).count() as u64
        };
        (count("read GICC_IAR"), count("write GICC_EOIR"))
    }
}
