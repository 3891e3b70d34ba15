//! A stand-in for ONNX Runtime's shared library: the C functions that the server uses, by slot.
//!
//! Loaded by `server/tests/fake_ort.rs` in place of the real library. It serves one model,
//! `x` FP32 [-1, 4] → `y` = 2 `x`, fails where it is told to, and counts every object that was made
//! and not released. Slots are written down here a second time on purpose: a slot that is wrong in
//! one of the two places makes the tests fail.
#![allow(unsafe_code, reason = "it is a C library")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the safety rules are those of the C header"
)]

mod loading;
mod objects;
mod running;
mod table;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use table::OrtGetApiBase;

/// What goes wrong; set by `fake_ort_fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fault {
    /// Nothing.
    None,
    /// The version string is one from before API 17.
    OldVersion,
    /// The library does not know the API version.
    NoApi,
    /// The table has an empty slot.
    EmptySlot,
    /// The model cannot be loaded.
    BadModel,
    /// The input is not a tensor.
    NotATensor,
    /// A run fails with `INVALID_ARGUMENT`.
    BadInput,
    /// A run fails for lack of memory.
    NoMemory,
    /// A run succeeds and gives nothing.
    NoOutput,
    /// The output has one row less than the input.
    LostRow,
    /// The output has an element type that the protocol lacks.
    OddType,
}

static FAULT: AtomicUsize = AtomicUsize::new(0);

fn is(fault: Fault) -> bool {
    FAULT.load(Ordering::SeqCst) == fault as usize
}

/// Chooses what goes wrong from now on.
#[unsafe(no_mangle)]
pub extern "C" fn fake_ort_fault(fault: usize) {
    FAULT.store(fault, Ordering::SeqCst);
}

/// How many objects were made and not released.
#[unsafe(no_mangle)]
pub extern "C" fn fake_ort_live() -> usize {
    objects::LIVE.load(Ordering::SeqCst)
}
