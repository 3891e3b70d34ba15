//! Admission: who may come in at all, decided at once and never by waiting.
//!
//! The process gate counts requests when their headers arrive, the model gate their rows and bytes
//! after decoding. A `Permit` gives back what it took when it is dropped, so a handler that is
//! cancelled makes room in the same moment. The counters are the metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aimodel_wire::{InferError, oip::Work};

/// A counter with a limit. An empty gate lets anything in, so that nothing is refused for ever.
#[derive(Debug)]
pub struct Gate {
    limit: usize,
    used: AtomicUsize,
}

/// What was taken from a gate, given back on drop.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    amount: usize,
}

impl Gate {
    /// An empty gate.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// Takes `amount`; `None` when it is not free.
    #[must_use]
    pub fn enter(self: &Arc<Self>, amount: usize) -> Option<Permit> {
        let take = |used: usize| {
            let after = used.checked_add(amount)?;
            (used == 0 || after <= self.limit).then_some(after)
        };
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.ok().map(|_| Permit {
            gate: Arc::clone(self),
            amount,
        })
    }

    /// How much is taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// How much there is.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.used.fetch_sub(self.amount, Ordering::AcqRel);
    }
}

/// How fast a model runs, measured on batches that are at least half full: the others say little
/// about a loaded server.
#[derive(Debug)]
pub struct Pace {
    max_rows: usize,
    /// Nanoseconds per row, smoothed; zero until it is known.
    nanos_per_row: AtomicU64,
}

impl Pace {
    /// An unknown pace of a model with batches of up to `max_rows` rows.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        Self {
            max_rows,
            nanos_per_row: AtomicU64::new(0),
        }
    }

    /// Learns from a run. Called by engine threads.
    pub fn record(&self, rows: usize, took: Duration) {
        if rows == 0 || rows.saturating_mul(2) < self.max_rows {
            return;
        }
        let per_row = took.as_nanos() / rows as u128;
        let sample = u64::try_from(per_row).unwrap_or(u64::MAX).max(1);
        let old = self.nanos_per_row.load(Ordering::Relaxed);
        let new = if old == 0 {
            sample
        } else {
            old - old / 8 + sample / 8
        };
        self.nanos_per_row.store(new.max(1), Ordering::Relaxed);
    }

    /// How long that many rows take; zero while the pace is unknown.
    #[must_use]
    pub fn time_for(&self, rows: usize) -> Duration {
        let nanos = self.nanos_per_row.load(Ordering::Relaxed);
        Duration::from_nanos(nanos.saturating_mul(u64::try_from(rows).unwrap_or(u64::MAX)))
    }
}

/// The gate of one model: rows and bytes that wait or run, and whether there is time for more.
#[derive(Debug)]
pub struct ModelGate {
    rows: Arc<Gate>,
    size_bytes: Arc<Gate>,
    pace: Pace,
}

/// The room of one request in a `ModelGate`.
#[derive(Debug)]
pub struct ModelPermit {
    _rows: Permit,
    _size_bytes: Permit,
}

/// The least and the most that a refused client is asked to wait.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

impl ModelGate {
    /// An empty gate for a model with batches of up to `max_rows` rows.
    #[must_use]
    pub fn new(rows: usize, size_bytes: usize, max_rows: usize) -> Self {
        Self {
            rows: Gate::new(rows),
            size_bytes: Gate::new(size_bytes),
            pace: Pace::new(max_rows),
        }
    }

    /// Lets work in, or says why not.
    ///
    /// # Errors
    /// `DeadlineExceeded` when the work cannot be done in time, `Overloaded` when there is no room.
    pub fn admit(
        &self,
        work: &Work,
        now: Instant,
        deadline: Instant,
    ) -> Result<ModelPermit, InferError> {
        let left = deadline.saturating_duration_since(now);
        let ahead = self.rows.used().saturating_add(work.rows());
        if left.is_zero() || self.pace.time_for(ahead) > left {
            return Err(InferError::DeadlineExceeded { executed: false });
        }
        let full = |what| InferError::Overloaded {
            what,
            retry_after: self.retry_after(),
        };
        Ok(ModelPermit {
            _rows: self
                .rows
                .enter(work.rows())
                .ok_or_else(|| full("the model's room for rows"))?,
            _size_bytes: self
                .size_bytes
                .enter(work.size_bytes())
                .ok_or_else(|| full("the model's room for bytes"))?,
        })
    }

    /// When a refused client should try again: after half of what waits is done.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let (least, most) = RETRY_AFTER;
        (self.pace.time_for(self.rows.used()) / 2).clamp(least, most)
    }

    /// The rows that wait or run.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.used()
    }

    /// Where engine threads report their runs.
    #[must_use]
    pub fn pace(&self) -> &Pace {
        &self.pace
    }
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
