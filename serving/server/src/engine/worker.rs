//! The loop of an engine thread: pull → gather and run → split → answer.
//!
//! Started by `process` with a loaded engine. One failed request never fails its neighbours: a
//! failed batch is run again request by request. A panic ends the engine for good and everyone who
//! waits is told. It must never hold the queue's lock while the engine runs.

use std::{
    any::Any,
    hint,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aimodel_wire::{EngineFailure, InferError, ModelSignature, Tensor, oip::Work};

use super::{
    Engine, EngineError,
    deliver::Delivery,
    warmup::{self, Probe},
};
use crate::{
    batch::{Batch, Job, Queue, split},
    metrics::Metrics,
};

/// After so many internal failures in a row the engine has to prove that it works at all.
const SUSPICIOUS: usize = 3;

/// Looks at the queue before sleeping: some after ever longer spins, the rest after yielding.
const LAST_SPIN: u32 = 6;
const LAST_LOOK: u32 = 10;

/// Since when a batch runs, for the watchdog.
#[derive(Debug)]
pub struct Heartbeat {
    started: Instant,
    /// Milliseconds from `started`, plus one; 0 while nothing runs.
    running_since: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            running_since: AtomicU64::new(0),
        }
    }
}

impl Heartbeat {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn begin(&self) {
        self.running_since.store(self.now() + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.running_since.store(0, Ordering::Relaxed);
    }

    /// How long the batch that runs now has been running; zero when none does.
    #[must_use]
    pub fn running_for(&self) -> Duration {
        match self.running_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis((self.now() + 1).saturating_sub(since)),
        }
    }
}

/// An engine with its queue.
pub struct Worker {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Its signature.
    pub signature: Arc<ModelSignature>,
    /// Where jobs come from.
    pub queue: Arc<Queue>,
    /// Where answers go.
    pub delivery: Delivery,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Read by the watchdog.
    pub heartbeat: Arc<Heartbeat>,
    /// How to try the engine with zeros; `None` when it refuses them.
    pub probe: Option<Probe>,
    /// Internal failures in a row.
    pub failures: usize,
}

/// Why an engine cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead(pub String);

impl Dead {
    fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self(format!("the engine panicked: {}", panic_text(panic)))
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Runs batches until the queue is closed.
    ///
    /// # Errors
    /// When the engine panicked or fails everything; what waited was answered.
    pub fn run(mut self) -> Result<(), Dead> {
        while let Some(jobs) = self.next() {
            if let Err(dead) = self.run_jobs(jobs) {
                for job in self.queue.close() {
                    job.answer(Err(unavailable()));
                }
                return Err(dead);
            }
        }
        Ok(())
    }

    /// The next batch; `None` once the queue is closed.
    ///
    /// Looks around for some microseconds before it sleeps: the next request of a busy client is
    /// often that near, and being woken costs both threads more than this.
    fn next(&self) -> Option<Vec<Job>> {
        for step in 0..=LAST_LOOK {
            if self.queue.rows() > 0 {
                break;
            }
            if step <= LAST_SPIN {
                (0..1 << step).for_each(|_| hint::spin_loop());
            } else {
                thread::yield_now();
            }
        }
        self.queue.pull()
    }

    fn run_jobs(&mut self, jobs: Vec<Job>) -> Result<(), Dead> {
        let started = Instant::now();
        for job in &jobs {
            let waited = started.saturating_duration_since(job.arrived());
            self.metrics.queue_duration.observe(waited.as_secs_f64());
        }
        let works: Vec<&Work> = jobs.iter().map(Job::work).collect();
        match self.execute(&works) {
            Ok(Ok(answers)) => {
                self.failures = 0;
                let answers = answers.into_iter().map(Ok);
                self.delivery.send(jobs.into_iter().zip(answers).collect());
                Ok(())
            }
            Ok(Err(error)) if jobs.len() == 1 => {
                let verdict = self.judge(error.kind);
                for job in jobs {
                    job.answer(Err(error.clone().into()));
                }
                verdict
            }
            Ok(Err(_)) => {
                self.metrics.isolations.inc();
                self.run_alone(jobs)
            }
            Err(dead) => {
                let error = InferError::Internal("the engine panicked".to_owned());
                for job in jobs {
                    job.answer(Err(error.clone()));
                }
                Err(dead)
            }
        }
    }

    /// Runs each job by itself; the ones that died meanwhile are not run.
    fn run_alone(&mut self, jobs: Vec<Job>) -> Result<(), Dead> {
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if job.is_dead(Instant::now()) {
                job.expire();
                continue;
            }
            if let Err(dead) = self.run_jobs(vec![job]) {
                jobs.for_each(|job| job.answer(Err(unavailable())));
                return Err(dead);
            }
        }
        Ok(())
    }

    /// One run; the outer error is a panic.
    fn execute(&mut self, works: &[&Work]) -> Result<Result<Vec<Vec<Tensor>>, EngineError>, Dead> {
        let started = Instant::now();
        let run = || -> Result<_, EngineError> {
            let batch = Batch::new(works.iter().copied())?;
            let rows = batch.rows();
            let outputs = self.engine.run(batch)?;
            Ok((rows, split(&outputs, &self.signature, works)?))
        };
        self.heartbeat.begin();
        let result = catch_unwind(AssertUnwindSafe(run));
        self.heartbeat.end();
        let result = result.map_err(|panic| Dead::panicked(panic.as_ref()))?;
        let took = started.elapsed();
        self.metrics.execution_duration.observe(took.as_secs_f64());
        Ok(result.map(|(rows, answers)| {
            self.queue.record(rows, took);
            self.metrics
                .batch_rows
                .observe(u32::try_from(rows).unwrap_or(u32::MAX).into());
            answers
        }))
    }

    /// Data of a client may fail every one of its requests, so failures alone prove nothing: the
    /// engine is dead when it fails what it could run before it served.
    fn judge(&mut self, kind: EngineFailure) -> Result<(), Dead> {
        if kind != EngineFailure::Internal {
            self.failures = 0;
            return Ok(());
        }
        self.failures += 1;
        let Some(probe) = self.probe.filter(|_| self.failures >= SUSPICIOUS) else {
            return Ok(());
        };
        self.failures = 0;
        let tried = catch_unwind(AssertUnwindSafe(|| {
            warmup::run(self.engine.as_mut(), &self.signature, 1, probe)
        }));
        match tried {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Dead(format!("the engine fails every request: {error}"))),
            Err(panic) => Err(Dead::panicked(panic.as_ref())),
        }
    }
}

fn unavailable() -> InferError {
    InferError::Unavailable("the engine of the model ended; ask another replica".to_owned())
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
