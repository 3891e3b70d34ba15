//! Which waiting requests run together, and when: a pure function.
//!
//! The queue asks it whenever an engine is free. The oldest request that is alive leads; requests of
//! the same shape follow in their order until rows or bytes are full. With no delay allowed a batch
//! runs at once: at low load nobody waits, at high load batches fill while the engine is busy.

use std::time::{Duration, Instant};

/// What bounds a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The most rows; a request of more runs alone.
    pub max_rows: usize,
    /// The most bytes of inputs; a request of more runs alone.
    pub max_bytes: usize,
    /// How long the leader may wait for company. It never waits for more than half of its time.
    pub max_delay: Duration,
}

/// A request as the policy sees it.
pub trait Waiting {
    /// Requests run together when their keys are equal.
    type Key: PartialEq;

    /// Its rows.
    fn rows(&self) -> usize;
    /// The bytes of its inputs.
    fn size_bytes(&self) -> usize;
    /// Its shape.
    fn key(&self) -> &Self::Key;
    /// When it began to wait.
    fn arrived(&self) -> Instant;
    /// When it is too late.
    fn deadline(&self) -> Instant;
    /// Whether nobody waits for it any more.
    fn is_dead(&self, now: Instant) -> bool;
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Run the requests at these positions, which ascend.
    Run(Vec<usize>),
    /// Ask again at that time or when something changed.
    WaitUntil(Instant),
    /// Nothing alive waits.
    Idle,
}

/// What to do with the requests that wait, the oldest first.
#[must_use]
pub fn plan<'a, W: Waiting + 'a>(
    pending: impl IntoIterator<Item = &'a W>,
    now: Instant,
    policy: &Policy,
) -> Plan {
    let mut alive = pending
        .into_iter()
        .enumerate()
        .filter(|(_, waiting)| !waiting.is_dead(now));
    let Some((index, leader)) = alive.next() else {
        return Plan::Idle;
    };
    let (mut chosen, mut rows, mut bytes) = (vec![index], leader.rows(), leader.size_bytes());
    let mut complete = rows >= policy.max_rows || bytes >= policy.max_bytes;
    for (index, waiting) in alive {
        if rows >= policy.max_rows || bytes >= policy.max_bytes {
            break;
        }
        if waiting.key() != leader.key() {
            // Another shape waits for the engine: more delay would make it wait too.
            complete = true;
            continue;
        }
        let (more_rows, more_bytes) = (
            rows.saturating_add(waiting.rows()),
            bytes.saturating_add(waiting.size_bytes()),
        );
        complete |= more_rows >= policy.max_rows || more_bytes >= policy.max_bytes;
        if more_rows > policy.max_rows || more_bytes > policy.max_bytes {
            // Nobody of the same shape overtakes it.
            break;
        }
        chosen.push(index);
        (rows, bytes) = (more_rows, more_bytes);
    }
    let latest = latest_start(leader, policy.max_delay);
    if complete || latest <= now {
        Plan::Run(chosen)
    } else {
        Plan::WaitUntil(latest)
    }
}

/// When the leader's wait for company ends.
fn latest_start(leader: &impl Waiting, max_delay: Duration) -> Instant {
    let half_its_time = leader
        .deadline()
        .saturating_duration_since(leader.arrived())
        / 2;
    leader.arrived() + max_delay.min(half_its_time)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
