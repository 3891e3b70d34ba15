//! Answers on their way from an engine thread to the handlers, a whole batch at a time.
//!
//! Waking a task of a runtime from another thread costs a system call each. So a batch is handed
//! over with one wake-up to `run`, a task beside the handlers, and the handlers are woken from there
//! for nothing. Used by `worker`; started by `process`.

use tokio::sync::mpsc;

use crate::batch::{Answer, Job};

/// Batches that may be on their way; an engine that is so far ahead waits.
const BATCHES: usize = 64;

/// Jobs with their answers.
type Answers = Vec<(Job, Answer)>;

/// The engine's end.
#[derive(Clone, Debug)]
pub struct Delivery(mpsc::Sender<Answers>);

/// The runtime's end.
#[derive(Debug)]
pub struct Deliveries(mpsc::Receiver<Answers>);

/// Both ends.
#[must_use]
pub fn channel() -> (Delivery, Deliveries) {
    let (sender, receiver) = mpsc::channel(BATCHES);
    (Delivery(sender), Deliveries(receiver))
}

impl Delivery {
    /// Sends the answers of a batch; without a runtime nobody waits for them.
    pub fn send(&self, mut answers: Answers) {
        if answers.len() == 1 {
            if let Some((job, answer)) = answers.pop() {
                job.answer(answer);
            }
        } else {
            drop(self.0.blocking_send(answers));
        }
    }
}

impl Deliveries {
    /// Hands out answers until the engines are gone.
    pub async fn run(mut self) {
        while let Some(answers) = self.0.recv().await {
            for (job, answer) in answers {
                job.answer(answer);
            }
        }
    }
}
