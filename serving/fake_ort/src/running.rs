//! Tensors and runs: `y` = 2 `x`, or what the chosen fault makes of it; and the errors of both.
//!
//! Called through the table of `table`.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use crate::{
    Fault, is,
    objects::{self, Object, Ptr, Status, Value, fail, make},
};

pub(crate) unsafe extern "C" fn create_tensor(
    _allocator: *mut c_void,
    dims: *const i64,
    rank: usize,
    element: c_int,
    out: *mut Ptr,
) -> Ptr {
    // SAFETY: the caller gives `rank` dimensions and an out-pointer.
    unsafe {
        let dims = std::slice::from_raw_parts(dims, rank);
        *out = make(Object::Value(Value::new(element, dims)));
    }
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_data(value: Ptr, out: *mut *mut f32) -> Ptr {
    // SAFETY: a value of this library; an out-pointer of the caller.
    unsafe { *out = objects::value(value).data.as_mut_ptr() };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_value_info(value: Ptr, out: *mut Ptr) -> Ptr {
    // SAFETY: as above.
    unsafe { *out = make(Object::Info(objects::value(value).info.clone())) };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn run(
    _session: Ptr,
    _options: Ptr,
    _input_names: *const *const c_char,
    inputs: *const Ptr,
    _input_count: usize,
    _output_names: *const *const c_char,
    _output_count: usize,
    outputs: *mut Ptr,
) -> Ptr {
    if is(Fault::BadInput) {
        return fail(2, c"indices element out of data bounds");
    }
    if is(Fault::NoMemory) {
        return fail(
            6,
            c"Failed to allocate memory for requested buffer of size 99",
        );
    }
    if is(Fault::NoOutput) {
        return ptr::null_mut();
    }
    // SAFETY: the model has one input and one output, and the caller gives both arrays.
    unsafe {
        let mut output = objects::value(*inputs).clone();
        output.data.iter_mut().for_each(|x| *x *= 2.0);
        if is(Fault::LostRow) {
            output.info.dims[0] -= 1;
        }
        if is(Fault::OddType) {
            output.info.element = 14;
        }
        *outputs = make(Object::Value(output));
    }
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn cast_type(info: Ptr, out: *mut Ptr) -> Ptr {
    // SAFETY: an out-pointer of the caller; the tensor's info is the type's own.
    unsafe {
        *out = if is(Fault::NotATensor) {
            ptr::null_mut()
        } else {
            info
        }
    };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_element(info: Ptr, out: *mut c_int) -> Ptr {
    // SAFETY: an info of this library; an out-pointer of the caller.
    unsafe { *out = objects::info(info).element };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_rank(info: Ptr, out: *mut usize) -> Ptr {
    // SAFETY: as above.
    unsafe { *out = objects::info(info).dims.len() };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_dims(info: Ptr, out: *mut i64, length: usize) -> Ptr {
    // SAFETY: as above; the caller has room for `length`.
    unsafe {
        let dims = &objects::info(info).dims;
        ptr::copy_nonoverlapping(dims.as_ptr(), out, length.min(dims.len()));
    }
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_error_code(status: Ptr) -> c_int {
    // SAFETY: a status of this library.
    match unsafe { &*status } {
        Object::Status(Status { code, .. }) => *code,
        _ => 0,
    }
}

pub(crate) unsafe extern "C" fn get_error_message(status: Ptr) -> *const c_char {
    // SAFETY: a status of this library.
    match unsafe { &*status } {
        Object::Status(Status { message, .. }) => message.as_ptr(),
        _ => c"".as_ptr(),
    }
}
