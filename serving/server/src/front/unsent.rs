//! Answers that a peer does not read: counted per connection, so that one can be cut off.
//!
//! A peer that opens no flow-control window pins its answers, their memory and their admitted
//! places for ever. `admit` enters each answer that is ready, the connection's task asks once a period whether one
//! from the period before last is still there. Two counters tell that without a clock per answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The answers of one connection by the period in which they began.
#[derive(Debug, Default)]
pub struct Unsent {
    period: AtomicUsize,
    counts: [AtomicUsize; 2],
}

/// One answer that is being sent.
#[derive(Debug)]
pub struct Ticket {
    unsent: Arc<Unsent>,
    period: usize,
}

impl Unsent {
    /// Counts an answer until its ticket is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Ticket {
        let period = self.period.load(Ordering::Relaxed) % 2;
        self.counts[period].fetch_add(1, Ordering::Relaxed);
        Ticket {
            unsent: self.clone(),
            period,
        }
    }

    /// Begins a new period; true when an answer has been waiting for more than a whole one.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let next = (self.period.load(Ordering::Relaxed) + 1) % 2;
        if self.counts[next].load(Ordering::Relaxed) > 0 {
            return true;
        }
        self.period.store(next, Ordering::Relaxed);
        false
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unsent.counts[self.period].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_stay_for_one_period() {
        let unsent = Arc::new(Unsent::default());
        let ticket = unsent.enter();
        assert!(!unsent.is_stalled());
        assert!(unsent.is_stalled());
        drop(ticket);
        assert!(!unsent.is_stalled());
    }

    #[test]
    fn answers_that_come_and_go_stall_nothing() {
        let unsent = Arc::new(Unsent::default());
        for _ in 0..5 {
            let _ticket = unsent.enter();
            assert!(!unsent.is_stalled());
        }
    }
}
