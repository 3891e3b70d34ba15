//! How many threads of which kind: turns CPUs and memory of the container into a plan.
//!
//! Called by `process` once. Engines size their pools by the *machine's* cores, which starves a
//! container with a quota; every pool here is therefore given an explicit number.

use std::{fs, num::NonZero, path::Path, thread};

/// Threads of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadPlan {
    /// CPUs that may be used.
    pub cpus: usize,
    /// Threads that read and write sockets; 1 means a current-thread runtime.
    pub io: usize,
    /// Threads of one engine, the caller's included.
    pub intra_op: usize,
}

impl ThreadPlan {
    /// The plan for `cpus`: one HTTP/2 connection is one lock, so few sockets threads do best.
    #[must_use]
    pub fn for_cpus(cpus: usize) -> Self {
        let cpus = cpus.max(1);
        let io = if cpus <= 2 { 1 } else { (cpus / 4).clamp(1, 8) };
        Self {
            cpus,
            io,
            intra_op: (cpus - io).max(1),
        }
    }
}

/// CPUs that this process may use: the least of cgroup quota (v1 and v2) and affinity, rounded
/// down, at least 1.
#[must_use]
pub fn available() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Memory that this process may use, in bytes: the cgroup's limit, else the machine's.
#[must_use]
pub fn memory_limit() -> u64 {
    memory_limit_under(Path::new("/"))
}

fn memory_limit_under(root: &Path) -> u64 {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let total = read("proc/meminfo")
        .as_deref()
        .and_then(total_memory)
        .unwrap_or(1 << 30);
    [
        "sys/fs/cgroup/memory.max",
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .into_iter()
    .filter_map(read)
    .find_map(|text| text.trim().parse::<u64>().ok())
    .map_or(total, |limit| limit.min(total))
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        for (cpus, io, intra_op) in [
            (0, 1, 1),
            (1, 1, 1),
            (2, 1, 1),
            (3, 1, 2),
            (4, 1, 3),
            (8, 2, 6),
            (64, 8, 56),
        ] {
            let plan = ThreadPlan::for_cpus(cpus);
            assert_eq!((plan.io, plan.intra_op), (io, intra_op), "{cpus} CPUs");
        }
    }

    #[test]
    fn memory_is_the_least_of_limit_and_machine() {
        let meminfo = "MemTotal:        2048 kB\nMemFree: 1 kB\n";
        for (limit_file, limit, wanted) in [
            ("sys/fs/cgroup/memory.max", "1048576\n", 1_048_576),
            ("sys/fs/cgroup/memory.max", "max\n", 2_097_152),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
                2_097_152,
            ),
        ] {
            let root = std::env::temp_dir().join(format!(
                "aimodel-cpu-{}-{}",
                std::process::id(),
                wanted + limit.len() as u64
            ));
            fs::create_dir_all(root.join(limit_file).parent().unwrap()).unwrap();
            fs::create_dir_all(root.join("proc")).unwrap();
            fs::write(root.join("proc/meminfo"), meminfo).unwrap();
            fs::write(root.join(limit_file), limit).unwrap();
            assert_eq!(memory_limit_under(&root), wanted, "{limit_file}: {limit}");
            fs::remove_dir_all(root).unwrap();
        }
    }
}
