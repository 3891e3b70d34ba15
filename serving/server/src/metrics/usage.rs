//! What the process uses, under the names that Prometheus gives every process.
//!
//! Registered by [`super::Metrics`]; `/proc/self` is read at each scrape. What cannot be read is
//! left out, and the scrape goes on.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Registers as the collector of `process_*`.
#[derive(Debug)]
pub(super) struct Usage;

impl Collector for Usage {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let times = Times::parse(&read("/proc/self/stat"));
        if let Some(times) = times {
            let help = "Total user and system CPU time spent in seconds";
            let (unit, kind) = (Some(&Unit::Seconds), MetricType::Counter);
            let cpu = encoder.encode_descriptor("process_cpu", help, unit, kind)?;
            ConstCounter::new(times.cpu_seconds).encode(cpu)?;
        }
        if let (Some(times), Some(boot)) = (times, boot_seconds(&read("/proc/stat"))) {
            let help = "Start time of the process since unix epoch in seconds";
            let value = ConstGauge::new(boot + times.started_seconds);
            gauge(
                encoder,
                "process_start_time",
                help,
                Some(&Unit::Seconds),
                &value,
            )?;
        }
        if let Some(bytes) = resident_bytes(&read("/proc/self/status")) {
            let help = "Resident memory size in bytes";
            let value = ConstGauge::new(bytes);
            gauge(
                encoder,
                "process_resident_memory",
                help,
                Some(&Unit::Bytes),
                &value,
            )?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // The folder that is being read is one of them.
            let open = u64::try_from(open.count()).unwrap_or(u64::MAX);
            let value = ConstGauge::new(open.saturating_sub(1));
            gauge(
                encoder,
                "process_open_fds",
                "Number of open file descriptors",
                None,
                &value,
            )?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    value.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

/// Ticks of a second in `/proc`: a constant of Linux's interface on every architecture served here.
const TICKS_PER_SECOND: f64 = 100.0;

/// What `/proc/self/stat` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Times {
    /// In user and kernel mode together.
    cpu_seconds: f64,
    /// Since the machine was booted.
    started_seconds: f64,
}

impl Times {
    /// Fields are numbered as in proc(5); the name, field 2, may hold blanks and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let seconds = |field: usize| {
            let ticks: f64 = fields.get(field - 3)?.parse().ok()?;
            Some(ticks / TICKS_PER_SECOND)
        };
        Some(Self {
            cpu_seconds: seconds(14)? + seconds(15)?,
            started_seconds: seconds(22)?,
        })
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// When the machine was booted, in seconds since the epoch.
fn boot_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let after = "S 1 7 7 0 -1 4194560 9 0 0 0 250 125 0 0 20 0 4 0 6000 1000000 512 184467";
        let wanted = Times {
            cpu_seconds: 3.75,
            started_seconds: 60.0,
        };
        for name in ["aimodel-serving", "a) R 1 (b"] {
            let stat = format!("7 ({name}) {after}\n");
            assert_eq!(Times::parse(&stat), Some(wanted), "{name}");
        }
        for text in [
            "",
            "7 (x) S 1",
            "7 (x) S 1 7 7 0 -1 0 0 0 0 0 a b 0 0 0 0 0 0 0",
        ] {
            assert_eq!(Times::parse(text), None, "{text}");
        }
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        let status = "VmPeak:\t  90 kB\nVmRSS:\t    2048 kB\nThreads:\t4\n";
        assert_eq!(resident_bytes(status), Some(2 << 20));
        assert_eq!(
            resident_bytes("Name:\tx\n"),
            None,
            "a kernel thread has none"
        );
    }

    #[test]
    fn the_boot_time_is_a_line_of_its_own() {
        assert_eq!(
            boot_seconds("cpu 1 2\nbtime 1700000000\n"),
            Some(1_700_000_000.0)
        );
        assert_eq!(boot_seconds("cpu 1 2\n"), None);
    }

    #[test]
    fn the_names_are_those_of_every_process() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Usage));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_open_fds",
        ] {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default();
            assert!(
                line.trim().parse::<f64>().is_ok_and(|value| value >= 0.0),
                "{text}"
            );
        }
    }
}
