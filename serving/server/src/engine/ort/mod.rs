//! ONNX Runtime by its C API: `library` loads it, `session` is the engine, `value` its tensors.

mod ffi;
mod library;
mod session;
mod value;

pub use library::{LibraryError, Ort, OrtError};
pub use session::{OrtEngine, SessionLimits};
