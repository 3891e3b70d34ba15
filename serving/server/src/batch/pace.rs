//! How fast a model runs, to tell early which deadlines are hopeless.
//!
//! Engine threads report their runs to the queue, which asks when a request arrives.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Nanoseconds per row of a busy model, smoothed.
///
/// Only batches that are at least half full count: a model is much slower per row on small batches,
/// and a queue that is long enough to matter makes full ones.
#[derive(Debug)]
pub(super) struct Pace {
    max_rows: usize,
    /// Zero until it is known.
    nanos_per_row: AtomicU64,
}

impl Pace {
    /// The unknown pace of a model with batches of up to `max_rows` rows.
    pub(super) fn new(max_rows: usize) -> Self {
        Self {
            max_rows,
            nanos_per_row: AtomicU64::new(0),
        }
    }

    /// Learns from a run.
    pub(super) fn record(&self, rows: usize, took: Duration) {
        if rows == 0 || rows.saturating_mul(2) < self.max_rows {
            return;
        }
        let sample = u64::try_from(took.as_nanos() / rows as u128).unwrap_or(u64::MAX);
        let old = self.nanos_per_row.load(Ordering::Relaxed);
        let new = if old == 0 {
            sample
        } else {
            old - old / 8 + sample / 8
        };
        self.nanos_per_row.store(new.max(1), Ordering::Relaxed);
    }

    /// How long that many rows take; zero while the pace is unknown.
    pub(super) fn time_for(&self, rows: usize) -> Duration {
        let nanos = self.nanos_per_row.load(Ordering::Relaxed);
        Duration::from_nanos(nanos.saturating_mul(u64::try_from(rows).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_learnt_from_full_batches_and_smoothed() {
        let pace = Pace::new(8);
        assert_eq!(pace.time_for(1_000_000), Duration::ZERO);
        pace.record(3, Duration::from_secs(1));
        pace.record(0, Duration::from_secs(1));
        assert_eq!(
            pace.time_for(8),
            Duration::ZERO,
            "small batches teach nothing"
        );
        pace.record(4, Duration::from_micros(32));
        assert_eq!(pace.time_for(10), Duration::from_micros(80));
        pace.record(8, Duration::from_micros(128));
        assert_eq!(pace.time_for(1), Duration::from_micros(9));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let pace = Pace::new(1);
        pace.record(usize::MAX, Duration::ZERO);
        assert_eq!(pace.time_for(2), Duration::from_nanos(2));
        pace.record(1, Duration::MAX);
        pace.record(1, Duration::MAX);
        assert_eq!(pace.time_for(usize::MAX), Duration::from_nanos(u64::MAX));
    }
}
