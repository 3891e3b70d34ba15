//! Requests and answers of the Open Inference Protocol.
//!
//! `decode` turns a request into `Work` for the batcher and a `Reply` that stays with the handler;
//! `encode` turns the `Reply` and the output tensors into the response; `metadata` describes server
//! and models.

mod decode;
mod encode;
pub mod metadata;
mod work;

pub use decode::decode;
pub use encode::{ModelIdentity, encode};
pub use work::{Reply, ShapeKey, Style, Work};
