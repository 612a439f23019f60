//! A strict reader of the Trace Event Format, as far as it is written here: what a viewer would silently drop or bend
//! is an error. For tests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The time of the latest event on each track: none goes back.
#[derive(Default)]
struct Checker {
    latest: BTreeMap<String, f64>,
    named: BTreeSet<u64>,
    /// Open slices of each thread, and of each asynchronous track.
    open: BTreeMap<String, Vec<String>>,
}

/// Whether `trace` is sound; otherwise what is not.
pub(super) fn check(trace: &Value) -> Result<(), String> {
    let events = trace["traceEvents"].as_array().ok_or("traceEvents is no array")?;
    let mut checker = Checker::default();
    for event in events {
        checker.event(event).map_err(|error| format!("{error}: {event}"))?;
    }
    match checker.open.iter().find(|(_, open)| !open.is_empty()) {
        Some((track, open)) => Err(format!("{track}: never closed: {open:?}")),
        None => Ok(()),
    }
}

impl Checker {
    fn event(&mut self, event: &Value) -> Result<(), String> {
        let text = |field: &str| event[field].as_str().filter(|text| !text.is_empty());
        let phase = text("ph").ok_or("no phase")?;
        let name = text("name").map(str::to_owned);
        let (pid, tid) = (event["pid"].as_u64().ok_or("no pid")?, event["tid"].as_u64().ok_or("no tid")?);
        if !(event["args"].is_object() || event["args"].is_null()) {
            return Err("args are no object".to_owned());
        }
        if phase == "M" {
            event["args"]["name"].as_str().ok_or("names nothing")?;
            self.named.insert(tid);
            return Ok(());
        }
        if !self.named.contains(&tid) {
            return Err("a thread without a name".to_owned());
        }
        let time = event["ts"].as_f64().filter(|time| *time >= 0.0).ok_or("no time")?;
        let track = match phase {
            "B" | "E" => format!("thread {pid}/{tid}"),
            "C" => format!("counter {pid}/{}", name.as_deref().ok_or("no name")?),
            "b" | "e" => {
                let id = event["id2"]["local"].as_str().ok_or("no id of the process's own")?;
                format!("async {pid}/{}/{id}", text("cat").ok_or("no category")?)
            }
            other => return Err(format!("phase {other}")),
        };
        if self.latest.insert(track.clone(), time).is_some_and(|latest| latest > time) {
            return Err("time goes back".to_owned());
        }
        let open = self.open.entry(track).or_default();
        match phase {
            "B" | "b" => open.push(name.ok_or("no name")?),
            "E" => drop(open.pop().ok_or("nothing is open")?),
            "e" if open.pop() == name => {}
            "e" => return Err("another is open".to_owned()),
            _ => {
                let values = event["args"].as_object().ok_or("no value")?;
                if values.is_empty() || !values.values().all(Value::is_number) {
                    return Err("no number".to_owned());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaint(events: &[Value]) -> String {
        let name = json!({"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": "x"}});
        let events = [&[name], events].concat();
        check(&json!({ "traceEvents": events })).unwrap_err()
    }

    fn slice(phase: &str, time: f64) -> Value {
        json!({"ph": phase, "pid": 1, "tid": 1, "name": "x", "ts": time})
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        assert!(complaint(&[slice("B", 1.0)]).contains("never closed"));
        assert!(complaint(&[slice("E", 1.0)]).contains("nothing is open"));
        assert!(complaint(&[slice("B", 2.0), slice("E", 1.0)]).contains("time goes back"));
        assert!(complaint(&[slice("B", -1.0)]).contains("no time"));
        assert!(complaint(&[slice("Q", 1.0)]).contains("phase Q"));
        let event = |phase: &str, name: &str, ts: f64| json!({"ph": phase, "pid": 1, "tid": 1, "name": name, "ts": ts, "cat": "c", "id2": {"local": "0x1"}});
        let crossed = [event("b", "x", 1.0), event("b", "y", 1.0), event("e", "x", 2.0)];
        assert!(complaint(&crossed).contains("another is open"));
        assert!(complaint(&[json!({"ph": "C", "pid": 1, "tid": 1, "name": "x", "ts": 1.0})]).contains("no value"));
        assert!(
            complaint(&[json!({"ph": "B", "pid": 1, "tid": 9, "name": "x", "ts": 1.0})]).contains("without a name")
        );
    }
}
