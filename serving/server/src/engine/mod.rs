//! What runs a model: one engine, owned by one thread.
//!
//! The worker pulls jobs, makes a `Batch` of them and calls `run`; engines know neither gRPC nor
//! tokio, and never see a request of zero rows.

pub mod deliver;
pub mod echo;
pub mod load;
pub mod ort;
pub mod warmup;
pub mod worker;

use aimodel_wire::{EngineFailure, InferError, ModelSignature, Tensor};
use thiserror::Error;

use crate::batch::Batch;

/// A loaded model. One thread owns it; nothing about it is shared.
pub trait Engine: Send {
    /// What the model takes and gives.
    fn signature(&self) -> &ModelSignature;

    /// Runs a batch. The outputs come in the signature's order, the first dimension of each equal
    /// to `batch.rows()` when the signature is batched.
    ///
    /// # Errors
    /// When the model refuses or fails the batch; the engine stays usable.
    fn run(&mut self, batch: Batch<'_>) -> Result<Outputs, EngineError>;
}

/// What a run gives: the signature's outputs, in its order.
pub type Outputs = Vec<Tensor>;

/// Why a run gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct EngineError {
    /// What kind of failure.
    pub kind: EngineFailure,
    /// The engine's own words.
    pub message: String,
}

impl EngineError {
    /// An error of these parts.
    #[must_use]
    pub fn new(kind: EngineFailure, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl From<EngineError> for InferError {
    fn from(error: EngineError) -> Self {
        Self::engine(error.kind, &error.message)
    }
}
