//! What processes cost: CPU time and resident memory from `/proc`, a process together with its children.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use customers::stack::Process;

/// Ticks of `/proc/<pid>/stat` in a second: `USER_HZ`, 100 on every Linux that we run on.
const TICKS_A_SECOND: u64 = 100;

/// CPU time so far, user and system, waited-for children included.
fn cpu_of(stat: &str) -> Option<(u32, Duration)> {
    // The name in parentheses may hold anything; fields are counted after it.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((parent, Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)))
}

/// Every process: its parent and its CPU time.
fn all() -> BTreeMap<u32, (u32, Duration)> {
    let Ok(folder) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, cpu_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

/// A process and its children.
fn family(pid: u32, all: &BTreeMap<u32, (u32, Duration)>) -> Vec<u32> {
    let children = all.iter().filter(|(_, (parent, _))| *parent == pid).map(|(child, _)| *child);
    std::iter::once(pid).chain(children).collect()
}

/// The kind of a process: its name without a number, so that several gateways count together.
fn kind(name: &str) -> &str {
    name.split_once('-').map_or(name, |(kind, _)| kind)
}

/// CPU time of each kind of process, and of this one as `load`.
pub fn cpu_times(processes: &[Process]) -> BTreeMap<String, Duration> {
    let all = all();
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    let load = Process { name: "load".into(), pid: Some(std::process::id()), address: String::new() };
    for process in processes.iter().chain([&load]) {
        let Some(pid) = process.pid else { continue };
        // Of our own children (redis-benchmark, the floor) nothing is counted.
        let members = if process.name == "load" { vec![pid] } else { family(pid, &all) };
        let used: Duration = members.iter().filter_map(|pid| all.get(pid)).map(|(_, cpu)| *cpu).sum();
        *times.entry(kind(&process.name).to_owned()).or_default() += used;
    }
    let ours: Duration = times.values().sum();
    let whole = fs::read_to_string("/proc/stat").map(|stat| busy(&stat)).unwrap_or_default();
    times.insert(OTHERS.to_owned(), whole.saturating_sub(ours));
    times
}

/// The name under which [`cpu_times`] counts what no process of ours used.
pub const OTHERS: &str = "everything else";

/// CPU time of the whole machine so far, from the first line of `/proc/stat`.
fn busy(stat: &str) -> Duration {
    // user, nice, system, idle, iowait, irq, softirq, steal
    let fields: Vec<u64> =
        stat.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    let ticks: u64 =
        fields.iter().take(8).enumerate().filter(|(at, _)| *at != 3 && *at != 4).map(|(_, t)| t).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

/// What each kind used between two looks.
pub fn cpu_between(
    before: &BTreeMap<String, Duration>,
    after: &BTreeMap<String, Duration>,
) -> BTreeMap<String, Duration> {
    let used = |(kind, after): (&String, &Duration)| {
        let before = before.get(kind).copied().unwrap_or_default();
        (kind.clone(), after.saturating_sub(before))
    };
    after.iter().map(used).collect()
}

/// Resident bytes of each process by its own name. A process with children counts its share of shared
/// memory (Pss), so that Postgres' buffers count once.
pub fn resident_bytes(processes: &[Process]) -> BTreeMap<String, u64> {
    let all = all();
    let mut bytes = BTreeMap::new();
    for process in processes {
        let Some(pid) = process.pid else { continue };
        let members = family(pid, &all);
        let total = if members.len() > 1 {
            members.iter().filter_map(|pid| kib_in(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
        } else {
            kib_in(&format!("/proc/{pid}/status"), "VmRSS:").unwrap_or(0)
        };
        bytes.insert(process.name.clone(), total * 1024);
    }
    bytes
}

fn kib_in(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name_is() {
        let stat = "42 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 250 50 10 5 20 0 1 0 100 0 0";
        assert_eq!(cpu_of(stat), Some((7, Duration::from_millis(3150))));
        assert_eq!(cpu_of("nonsense"), None);
    }

    #[test]
    fn idle_and_waiting_time_is_not_busy() {
        assert_eq!(busy("cpu  100 10 50 9999 888 5 5 30 7 7\ncpu0 1 2"), Duration::from_secs(2));
        assert_eq!(busy(""), Duration::ZERO);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let me = Process { name: "gateway-1".into(), pid: Some(std::process::id()), address: String::new() };
        assert!(resident_bytes(std::slice::from_ref(&me))["gateway-1"] > 100_000);
        let times = cpu_times(&[me]);
        assert!(times.contains_key("gateway") && times.contains_key("load"));
    }
}
