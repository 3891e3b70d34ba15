//! The Open Inference Protocol as values.
//!
//! Turns protobuf messages into checked tensors and back, for the server's handlers and engines:
//! `proto` (generated) → `oip::decode` → `tensor`, then `oip::encode`. `error` is the one place that
//! knows which gRPC status a failure becomes. Nothing here starts a task, waits or reads a clock.

#![deny(unsafe_code)]

pub mod error;
pub mod limits;
pub mod oip;
pub mod proto;
pub mod signature;
pub mod tensor;

pub use error::{EngineFailure, InferError};
pub use signature::{ModelSignature, SignatureError, TensorSpec};
pub use tensor::{DType, Shape, Tensor};
