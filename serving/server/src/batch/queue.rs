//! The queue between handlers and engine threads: one mutex, one condition variable.
//!
//! Handlers push and never wait for room; engine threads pull batches that `policy` chose. Requests
//! that died stay until somebody passes by: a pull, or a push that they would stand in the way of.
//! Once closed it gives nothing out and takes nothing in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aimodel_wire::{InferError, oip::Work};
use parking_lot::{Condvar, Mutex};

use super::{
    job::Job,
    pace::Pace,
    policy::{Plan, Policy, plan},
};

/// How much may wait. An empty queue takes a job of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most rows.
    pub rows: usize,
    /// The most bytes of inputs.
    pub size_bytes: usize,
}

/// Why a job was not taken. It was dropped, so its handler need not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Rows or bytes are at their limit.
    Full,
    /// The requests before it take longer than it has time.
    Late,
    /// The model is stopping.
    Closed,
}

/// The requests that wait for one model.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    policy: Policy,
    limits: QueueLimits,
    pace: Pace,
}

/// The least and the most that a refused client is asked to wait.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    rows: usize,
    size_bytes: usize,
    closed: bool,
}

/// What a pull finds.
#[derive(Debug)]
enum Found {
    Batch(Vec<Job>),
    WaitUntil(Instant),
    Nothing,
    Closed,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(policy: Policy, limits: QueueLimits) -> Self {
        let pace = Pace::new(policy.max_rows);
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            policy,
            limits,
            pace,
        }
    }

    /// Takes a job, or refuses it at once.
    ///
    /// # Errors
    /// `Full` when the living already fill the queue, `Late` when the job would be dead before its
    /// turn, `Closed` after `close`.
    pub fn push(&self, job: Job) -> Result<(), Refused> {
        self.push_at(job, Instant::now())
    }

    /// Waits for a batch: at least one job, all of one shape. `None` once the queue is closed.
    ///
    /// A job may die right after it was given out; the caller looks again before it runs.
    pub fn pull(&self) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        loop {
            let (found, dead) = self.look(&mut state, Instant::now());
            if !dead.is_empty() {
                parking_lot::MutexGuard::unlocked(&mut state, || expire(dead));
                if !matches!(found, Found::Batch(_)) {
                    // The lock was open: what was found may be stale.
                    continue;
                }
            }
            match found {
                Found::Batch(jobs) => return Some(jobs),
                Found::Closed => return None,
                Found::Nothing => self.changed.wait(&mut state),
                Found::WaitUntil(time) => drop(self.changed.wait_until(&mut state, time)),
            }
        }
    }

    /// Closes the queue, wakes everybody and hands back what still waited, to be answered.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.state.lock();
        state.closed = true;
        let left = state.remove_if(usize::MAX, |_, _| true);
        drop(state);
        self.changed.notify_all();
        left
    }

    /// Learns how long a batch took, for `Late` and `retry_after`.
    pub fn record(&self, rows: usize, took: Duration) {
        self.pace.record(rows, took);
    }

    /// When a refused client should try again: when half of what waits is done.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let (least, most) = RETRY_AFTER;
        (self.pace.time_for(self.rows()) / 2).clamp(least, most)
    }

    /// The rows that wait, the dead included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.state.lock().rows
    }

    fn push_at(&self, job: Job, now: Instant) -> Result<(), Refused> {
        let mut state = self.state.lock();
        let mut obstacle = self.obstacle(&state, &job, now);
        let mut dead = Vec::new();
        if matches!(obstacle, Some(Refused::Full | Refused::Late)) {
            dead = state.remove_if(usize::MAX, |_, job| job.is_dead(now));
            obstacle = self.obstacle(&state, &job, now);
        }
        if obstacle.is_none() {
            state.add(job);
        }
        drop(state);
        expire(dead);
        if let Some(refused) = obstacle {
            return Err(refused);
        }
        self.changed.notify_one();
        Ok(())
    }

    fn obstacle(&self, state: &State, job: &Job, now: Instant) -> Option<Refused> {
        let left = job.deadline().saturating_duration_since(now);
        let rows = state.rows.saturating_add(job.work().rows());
        if state.closed {
            Some(Refused::Closed)
        } else if !state.has_room(job.work(), self.limits) {
            Some(Refused::Full)
        } else {
            (left.is_zero() || self.pace.time_for(rows) > left).then_some(Refused::Late)
        }
    }

    /// What there is to do now, and the dead that were passed on the way.
    fn look(&self, state: &mut State, now: Instant) -> (Found, Vec<Job>) {
        if state.closed {
            return (Found::Closed, Vec::new());
        }
        match plan(&state.jobs, now, &self.policy) {
            Plan::Run(chosen) => {
                let last = chosen.last().copied().unwrap_or_default();
                let passed = state.remove_if(last + 1, |index, job| {
                    chosen.binary_search(&index).is_ok() || job.is_dead(now)
                });
                if !state.jobs.is_empty() {
                    // A push wakes one thread; the rest of its work is another one's.
                    self.changed.notify_one();
                }
                let (dead, batch) = passed.into_iter().partition(|job| job.is_dead(now));
                (Found::of(batch), dead)
            }
            Plan::WaitUntil(time) => (Found::WaitUntil(time), Vec::new()),
            Plan::Idle => (
                Found::Nothing,
                state.remove_if(usize::MAX, |_, job| job.is_dead(now)),
            ),
        }
    }
}

impl Found {
    fn of(batch: Vec<Job>) -> Self {
        if batch.is_empty() {
            Self::Nothing
        } else {
            Self::Batch(batch)
        }
    }
}

impl Refused {
    /// What the client is told.
    #[must_use]
    pub fn into_error(self, retry_after: Duration) -> InferError {
        match self {
            Self::Full => InferError::Overloaded {
                what: "the queue of the model",
                retry_after,
            },
            Self::Late => InferError::DeadlineExceeded { executed: false },
            Self::Closed => InferError::Unavailable("the model is stopping".to_owned()),
        }
    }
}

impl State {
    fn has_room(&self, work: &Work, limits: QueueLimits) -> bool {
        self.jobs.is_empty()
            || (self.rows.saturating_add(work.rows()) <= limits.rows
                && self.size_bytes.saturating_add(work.size_bytes()) <= limits.size_bytes)
    }

    fn add(&mut self, job: Job) {
        self.rows += job.work().rows();
        self.size_bytes += job.work().size_bytes();
        self.jobs.push_back(job);
    }

    /// Removes those of the first `end` jobs that `is_out` names; the others keep their order.
    fn remove_if(&mut self, end: usize, is_out: impl Fn(usize, &Job) -> bool) -> Vec<Job> {
        let end = end.min(self.jobs.len());
        let (mut out, mut kept) = (Vec::new(), Vec::new());
        for (index, job) in self.jobs.drain(..end).enumerate() {
            if is_out(index, &job) {
                self.rows -= job.work().rows();
                self.size_bytes -= job.work().size_bytes();
                out.push(job);
            } else {
                kept.push(job);
            }
        }
        for job in kept.into_iter().rev() {
            self.jobs.push_front(job);
        }
        out
    }
}

fn expire(dead: Vec<Job>) {
    for job in dead {
        job.expire();
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
