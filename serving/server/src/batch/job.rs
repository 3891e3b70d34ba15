//! One request in the queue, and the way back to its handler.

use std::time::Instant;

use aimodel_wire::{
    InferError, Tensor,
    oip::{ShapeKey, Work},
};
use tokio::sync::oneshot;

use super::policy::Waiting;

/// The requested outputs in the request's order, or why there are none.
pub type Answer = Result<Vec<Tensor>, InferError>;

/// A request that waits for an engine. Dropping it unanswered tells the handler nothing but that.
#[derive(Debug)]
pub struct Job {
    work: Work,
    arrived: Instant,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Job {
    /// A job and the handler's end of it. Dropping the receiver cancels the job.
    #[must_use]
    pub fn new(
        work: Work,
        arrived: Instant,
        deadline: Instant,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        (
            Self {
                work,
                arrived,
                deadline,
                answer,
            },
            receiver,
        )
    }

    /// What to run.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// When the request was admitted.
    #[must_use]
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// When the client stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether nobody waits any more: cancelled, or the deadline passed.
    #[must_use]
    pub fn is_dead(&self, now: Instant) -> bool {
        self.deadline <= now || self.answer.is_closed()
    }

    /// Sends the answer; a handler that went away misses it.
    pub fn answer(self, answer: Answer) {
        drop(self.answer.send(answer));
    }

    /// Answers that the deadline passed before the model could run.
    pub fn expire(self) {
        self.answer(Err(InferError::DeadlineExceeded { executed: false }));
    }
}

impl Waiting for Job {
    type Key = ShapeKey;

    fn rows(&self) -> usize {
        self.work.rows()
    }

    fn size_bytes(&self) -> usize {
        self.work.size_bytes()
    }

    fn key(&self) -> &ShapeKey {
        self.work.key()
    }

    fn arrived(&self) -> Instant {
        self.arrived
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn is_dead(&self, now: Instant) -> bool {
        Self::is_dead(self, now)
    }
}
