//! The one way to start a task, so that a reader finds every one of them.
//!
//! Called by `process` for each port, by `accept` for each connection, by hyper for each request and
//! by `admin`. Tasks end with their
//! connection or with the process; none outlives the runtime.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts `future` on the current runtime.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are started")]
    tokio::spawn(future)
}

/// hyper's executor: one task per request.
#[derive(Clone, Copy, Debug)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(spawn(future));
    }
}
