//! From waiting requests to batches for an engine, and from its outputs back to the requests.
//!
//! `queue` admits and holds `Job`s, `policy` decides which of them run together, `gather` lays their
//! inputs into the engine's memory, `split` cuts the outputs into answers. Handlers push, engine
//! threads pull; nothing here knows gRPC.

mod gather;
mod job;
mod pace;
pub mod policy;
mod queue;
mod split;

pub use gather::Batch;
pub use job::{Answer, Job};
pub use policy::Policy;
pub use queue::{Queue, QueueLimits, Refused};
pub use split::split;

#[cfg(test)]
pub(crate) mod fixture;
