//! How a host trades speed for power, which moves figures on silicon: frequency governors and idle states.

use std::collections::BTreeSet;
use std::path::Path;

/// What `folder` (/sys/devices/system/cpu) says of these CPUs (Linux, Documentation/admin-guide/pm/cpufreq.rst and
/// cpuidle.rst): the governors with the frequencies that they may choose, and the idle states that are not disabled.
pub fn power(folder: &Path, cpus: &[usize]) -> String {
    let mut governors = BTreeSet::new();
    let mut states = Vec::new();
    for cpu in cpus {
        let cpu = folder.join(format!("cpu{cpu}"));
        let read = |file: String| std::fs::read_to_string(cpu.join(file)).ok().map(|text| text.trim().to_owned());
        if let Some(governor) = read("cpufreq/scaling_governor".to_owned()) {
            let khz = |file: &str| read(format!("cpufreq/{file}")).and_then(|text| text.parse::<u64>().ok());
            let range = khz("scaling_min_freq").zip(khz("scaling_max_freq"));
            let range =
                range.map_or_else(String::new, |(low, high)| format!(" ({} to {} MHz)", low / 1000, high / 1000));
            governors.insert(governor + &range);
        }
        let enabled = (0..16).filter_map(|n| {
            let name = read(format!("cpuidle/state{n}/name"))?;
            (read(format!("cpuidle/state{n}/disable")).as_deref() != Some("1")).then_some(name)
        });
        for name in enabled {
            if !states.contains(&name) {
                states.push(name);
            }
        }
    }
    let list = |items: Vec<String>, none: &str| if items.is_empty() { none.to_owned() } else { items.join(", ") };
    let governors = list(governors.into_iter().collect(), "unknown");
    format!("governor {governors}; idle states: {}", list(states, "none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (place, content) in files {
            let place = folder.path().join(place);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, format!("{content}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn governors_frequencies_and_idle_states_are_those_of_the_cpus_in_question() {
        let folder = machine(&[
            ("cpu0/cpufreq/scaling_governor", "powersave"),
            ("cpu1/cpufreq/scaling_governor", "performance"),
            ("cpu1/cpufreq/scaling_min_freq", "2000000"),
            ("cpu1/cpufreq/scaling_max_freq", "3000000"),
            ("cpu2/cpufreq/scaling_governor", "schedutil"),
            ("cpu1/cpuidle/state0/name", "WFI"),
            ("cpu1/cpuidle/state1/name", "cpu-sleep-0"),
            ("cpu1/cpuidle/state1/disable", "1"),
            ("cpu2/cpuidle/state0/name", "WFI"),
            ("cpu2/cpuidle/state1/name", "cluster-sleep"),
            ("cpu2/cpuidle/state1/disable", "0"),
        ]);
        assert_eq!(
            power(folder.path(), &[1, 2]),
            "governor performance (2000 to 3000 MHz), schedutil; idle states: WFI, cluster-sleep"
        );
    }

    #[test]
    fn a_host_that_says_nothing_is_not_taken_for_one_that_is_well() {
        let folder = machine(&[]);
        assert_eq!(power(folder.path(), &[0]), "governor unknown; idle states: none");
    }
}
