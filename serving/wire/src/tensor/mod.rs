//! Tensors as the protocol carries them: datatype, shape and little-endian bytes.
//!
//! `oip::decode` makes them from requests, engines from outputs, `oip::encode` turns them into
//! answers. Nothing here knows protobuf except `typed`, and nothing copies tensor data except it.

pub mod bytes;
mod dtype;
mod shape;
pub mod typed;
mod view;

pub use dtype::DType;
pub use shape::{MAX_RANK, Shape, ShapeError};
pub use view::{Tensor, TensorError};
