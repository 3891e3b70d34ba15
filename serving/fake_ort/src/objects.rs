//! The objects that the library gives out, in one counted form.

use std::{
    ffi::{CStr, c_int},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Objects made and not released.
pub(crate) static LIVE: AtomicUsize = AtomicUsize::new(0);

/// A pointer to an object of this library.
pub(crate) type Ptr = *mut Object;

/// Anything that has to be released.
pub(crate) enum Object {
    /// Without content: options and sessions.
    Plain,
    /// An error.
    Status(Status),
    /// A type.
    Info(Info),
    /// A tensor.
    Value(Value),
}

/// An error.
pub(crate) struct Status {
    pub(crate) code: c_int,
    pub(crate) message: &'static CStr,
}

/// Element type and dimensions.
#[derive(Clone)]
pub(crate) struct Info {
    pub(crate) element: c_int,
    pub(crate) dims: Vec<i64>,
}

/// A tensor of FP32.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) info: Info,
    pub(crate) data: Vec<f32>,
}

impl Value {
    pub(crate) fn new(element: c_int, dims: &[i64]) -> Self {
        let count: i64 = dims.iter().product();
        let data = vec![0.0; usize::try_from(count).unwrap_or(0)];
        Self {
            info: Info {
                element,
                dims: dims.to_vec(),
            },
            data,
        }
    }
}

/// Gives an object out.
pub(crate) fn make(object: Object) -> Ptr {
    LIVE.fetch_add(1, Ordering::SeqCst);
    Box::into_raw(Box::new(object))
}

/// Gives an error out.
pub(crate) fn fail(code: c_int, message: &'static CStr) -> Ptr {
    make(Object::Status(Status { code, message }))
}

/// Takes an object back; null is allowed, as in the header.
pub(crate) unsafe extern "C" fn release(object: Ptr) {
    if !object.is_null() {
        LIVE.fetch_sub(1, Ordering::SeqCst);
        // SAFETY: an object that `make` gave out, released once.
        drop(unsafe { Box::from_raw(object) });
    }
}

/// The info behind a pointer.
pub(crate) unsafe fn info<'a>(object: Ptr) -> &'a Info {
    // SAFETY: the caller has an object of this library.
    match unsafe { &*object } {
        Object::Info(info) => info,
        _ => wrong_kind(),
    }
}

/// The value behind a pointer.
pub(crate) unsafe fn value<'a>(object: Ptr) -> &'a mut Value {
    // SAFETY: as above.
    match unsafe { &mut *object } {
        Object::Value(value) => value,
        _ => wrong_kind(),
    }
}

fn wrong_kind() -> ! {
    eprintln!("fake_ort: a pointer to an object of another kind");
    std::process::abort()
}
