//! CPU time and memory of processes. A process is counted together with its children.

use std::collections::BTreeMap;
use std::time::Duration;

use customers::stack::Process;
use procfs::process::{Process as ProcProcess, Stat, all_processes};
use procfs::{CpuTime, CurrentSI, KernelStats};

/// The parent and the CPU time of a process.
#[derive(Debug, Clone, Copy)]
struct Usage {
    parent: i32,
    cpu: Duration,
}

impl Usage {
    /// Returns the CPU time so far, user and system, including children that have exited.
    fn from_stat(stat: &Stat) -> Self {
        let children = stat.cutime.saturating_add(stat.cstime).max(0) as u64;
        Self { parent: stat.ppid, cpu: ticks(stat.utime + stat.stime + children) }
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / procfs::ticks_per_second())
}

/// Returns the usage of every process by its id.
fn all_usages() -> BTreeMap<i32, Usage> {
    let processes = all_processes().into_iter().flatten().flatten();
    processes.filter_map(|process| Some((process.pid, Usage::from_stat(&process.stat().ok()?)))).collect()
}

/// Returns the ids of a process and its children.
fn with_children(pid: i32, usages: &BTreeMap<i32, Usage>) -> Vec<i32> {
    let children = usages.iter().filter(|(_, usage)| usage.parent == pid).map(|(child, _)| *child);
    std::iter::once(pid).chain(children).collect()
}

/// Returns the name of a process without its number, so that several gateways count together.
fn kind(name: &str) -> &str {
    name.split_once('-').map_or(name, |(kind, _)| kind)
}

/// The name under which [`cpu_times`] counts the CPU time of all other processes.
pub const OTHERS: &str = "everything else";

/// Returns the CPU time of each kind of process, and of this process as `load`.
pub fn cpu_times(processes: &[Process]) -> BTreeMap<String, Duration> {
    let usages = all_usages();
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    let load = Process { name: "load".into(), pid: Some(std::process::id()), address: String::new() };
    for process in processes.iter().chain([&load]) {
        let Some(pid) = process.pid.map(u32::cast_signed) else { continue };
        // The children of this process (redis-benchmark, the baseline server) do not count.
        let members = if process.name == "load" { vec![pid] } else { with_children(pid, &usages) };
        let used: Duration = members.iter().filter_map(|pid| usages.get(pid)).map(|usage| usage.cpu).sum();
        *times.entry(kind(&process.name).to_owned()).or_default() += used;
    }
    let counted: Duration = times.values().sum();
    let machine = KernelStats::current().map(|stats| busy(&stats.total)).unwrap_or_default();
    times.insert(OTHERS.to_owned(), machine.saturating_sub(counted));
    times
}

/// Returns the busy time of the whole machine so far: everything but idle time and waiting for I/O.
fn busy(cpu: &CpuTime) -> Duration {
    let optional = [cpu.irq, cpu.softirq, cpu.steal].into_iter().flatten().sum::<u64>();
    ticks(cpu.user + cpu.nice + cpu.system + optional)
}

/// Returns the CPU time that each kind of process used between two measurements.
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

/// Returns the resident bytes of each process by its name. For a process with children the proportional share
/// of shared memory (Pss) is used, so that Postgres' buffers count once.
pub fn resident_bytes(processes: &[Process]) -> BTreeMap<String, u64> {
    let usages = all_usages();
    let mut bytes = BTreeMap::new();
    for process in processes {
        let Some(pid) = process.pid.map(u32::cast_signed) else { continue };
        let members = with_children(pid, &usages);
        let total = match members.len() {
            1 => resident(pid).unwrap_or(0),
            _ => members.iter().filter_map(|pid| proportional_share(*pid)).sum(),
        };
        bytes.insert(process.name.clone(), total);
    }
    bytes
}

fn resident(pid: i32) -> Option<u64> {
    let kib = ProcProcess::new(pid).ok()?.status().ok()?.vmrss?;
    Some(kib * 1024)
}

fn proportional_share(pid: i32) -> Option<u64> {
    let rollup = ProcProcess::new(pid).ok()?.smaps_rollup().ok()?;
    rollup.memory_map_rollup.iter().find_map(|map| map.extension.map.get("Pss").copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_exited_children_counts() {
        let line = "42 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 250 50 10 5 20 0 1 0 100 0 0 \
                    18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
        let stat = <Stat as procfs::FromRead>::from_read(line.as_bytes()).unwrap();
        let usage = Usage::from_stat(&stat);
        assert_eq!((usage.parent, usage.cpu), (7, ticks(315)));
    }

    #[test]
    fn idle_time_and_waiting_for_io_are_not_busy() {
        let line =
            "cpu  100 10 50 9999 888 5 5 30 7 7\ncpu0 1 2 3 4 5 6 7 8 9 10\nctxt 1\nbtime 1\nprocesses 1\n";
        let info = procfs::current_system_info();
        let stats = <KernelStats as procfs::FromBufReadSI>::from_buf_read(line.as_bytes(), info).unwrap();
        assert_eq!(busy(&stats.total), ticks(200));
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let process =
            Process { name: "gateway-1".into(), pid: Some(std::process::id()), address: String::new() };
        assert!(resident_bytes(std::slice::from_ref(&process))["gateway-1"] > 100_000);
        let times = cpu_times(&[process]);
        assert!(times.contains_key("gateway") && times.contains_key("load"));
    }
}
