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

mod objects;

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use objects::{Info, Object, Ptr, Status, Value, fail, make, release};

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

#[repr(C)]
struct ApiBase {
    get_api: extern "C" fn(u32) -> *const Table,
    get_version: extern "C" fn() -> *const c_char,
}

static BASE: ApiBase = ApiBase {
    get_api,
    get_version,
};

/// The entry point of the library.
#[unsafe(no_mangle)]
pub extern "C" fn OrtGetApiBase() -> *const c_void {
    (&raw const BASE).cast()
}

extern "C" fn get_version() -> *const c_char {
    if is(Fault::OldVersion) {
        c"1.16.3".as_ptr()
    } else {
        c"1.99.0".as_ptr()
    }
}

type Table = [*const c_void; 300];

extern "C" fn get_api(_version: u32) -> *const Table {
    if is(Fault::NoApi) {
        return ptr::null();
    }
    let mut table: Table = [unused as *const c_void; 300];
    for (slot, function) in slots() {
        table[slot] = function;
    }
    if is(Fault::EmptySlot) {
        table[48] = ptr::null();
    }
    Box::leak(Box::new(table))
}

/// What stands in the slots that the server must not call.
extern "C" fn unused() {
    eprintln!("fake_ort: an unused slot was called");
    std::process::abort();
}

/// The functions by the numbers of `onnxruntime_c_api.h`.
fn slots() -> [(usize, *const c_void); 41] {
    [
        (1, get_error_code as *const c_void),
        (2, get_error_message as *const c_void),
        (4, create_env as *const c_void),
        (6, accept_one as *const c_void),
        (7, create_session as *const c_void),
        (9, run as *const c_void),
        (10, create_options as *const c_void),
        (17, accept_one as *const c_void),
        (19, accept_one as *const c_void),
        (24, accept_number as *const c_void),
        (25, accept_number as *const c_void),
        (30, count_one as *const c_void),
        (31, count_one as *const c_void),
        (33, get_type as *const c_void),
        (34, get_type as *const c_void),
        (36, get_input_name as *const c_void),
        (37, get_output_name as *const c_void),
        (48, create_tensor as *const c_void),
        (51, get_data as *const c_void),
        (53, unused as *const c_void),
        (54, unused as *const c_void),
        (55, cast_type as *const c_void),
        (60, get_element as *const c_void),
        (61, get_rank as *const c_void),
        (62, get_dims as *const c_void),
        (65, get_value_info as *const c_void),
        (76, free_string as *const c_void),
        (78, get_allocator as *const c_void),
        (93, release as *const c_void),
        (95, release as *const c_void),
        (96, release as *const c_void),
        (98, release as *const c_void),
        (99, release as *const c_void),
        (100, release as *const c_void),
        (125, get_providers as *const c_void),
        (126, release_providers as *const c_void),
        (130, accept_entry as *const c_void),
        (204, accept_two as *const c_void),
        (205, create_options as *const c_void),
        (208, release as *const c_void),
        (252, unused as *const c_void),
    ]
}

unsafe extern "C" fn get_error_code(status: Ptr) -> c_int {
    // SAFETY: a status of this library.
    match unsafe { &*status } {
        Object::Status(Status { code, .. }) => *code,
        _ => 0,
    }
}

unsafe extern "C" fn get_error_message(status: Ptr) -> *const c_char {
    // SAFETY: a status of this library.
    match unsafe { &*status } {
        Object::Status(Status { message, .. }) => message.as_ptr(),
        _ => c"".as_ptr(),
    }
}

unsafe extern "C" fn create_env(
    _log: *const c_void,
    _parameter: *const c_void,
    _level: c_int,
    _name: *const c_char,
    out: *mut *mut c_void,
) -> Ptr {
    // SAFETY: an out-pointer of the caller. The environment is never released, so it is no object.
    unsafe { *out = ptr::dangling_mut() };
    ptr::null_mut()
}

extern "C" fn accept_one(_object: *const c_void) -> Ptr {
    ptr::null_mut()
}

extern "C" fn accept_two(_one: *const c_void, _other: *const c_void) -> Ptr {
    ptr::null_mut()
}

extern "C" fn accept_number(_object: *const c_void, number: c_int) -> Ptr {
    if number >= 1 {
        ptr::null_mut()
    } else {
        fail(2, c"threads must be counted")
    }
}

extern "C" fn accept_entry(_: *const c_void, _key: *const c_char, _value: *const c_char) -> Ptr {
    ptr::null_mut()
}

unsafe extern "C" fn create_options(out: *mut Ptr) -> Ptr {
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = make(Object::Plain) };
    ptr::null_mut()
}

unsafe extern "C" fn create_session(
    _env: *const c_void,
    _path: *const c_char,
    _options: Ptr,
    out: *mut Ptr,
) -> Ptr {
    if is(Fault::BadModel) {
        return fail(7, c"Protobuf parsing failed.");
    }
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = make(Object::Plain) };
    ptr::null_mut()
}

unsafe extern "C" fn count_one(_session: Ptr, out: *mut usize) -> Ptr {
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = 1 };
    ptr::null_mut()
}

unsafe extern "C" fn get_type(_session: Ptr, index: usize, out: *mut Ptr) -> Ptr {
    if index != 0 {
        return fail(2, c"no such tensor");
    }
    // SAFETY: an out-pointer of the caller.
    unsafe {
        *out = make(Object::Info(Info {
            element: 1,
            dims: vec![-1, 4],
        }));
    }
    ptr::null_mut()
}

unsafe extern "C" fn get_input_name(_: Ptr, _: usize, _: *mut c_void, out: *mut Ptr) -> Ptr {
    // SAFETY: as `name`.
    unsafe { name(out, c"x") }
}

unsafe extern "C" fn get_output_name(_: Ptr, _: usize, _: *mut c_void, out: *mut Ptr) -> Ptr {
    // SAFETY: as `name`.
    unsafe { name(out, c"y") }
}

unsafe fn name(out: *mut Ptr, name: &std::ffi::CStr) -> Ptr {
    objects::LIVE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = name.to_owned().into_raw().cast() };
    ptr::null_mut()
}

unsafe extern "C" fn free_string(_allocator: *mut c_void, string: *mut c_void) -> Ptr {
    objects::LIVE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: a string that `name` gave out.
    drop(unsafe { std::ffi::CString::from_raw(string.cast()) });
    ptr::null_mut()
}

unsafe extern "C" fn cast_type(info: Ptr, out: *mut Ptr) -> Ptr {
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

unsafe extern "C" fn get_element(info: Ptr, out: *mut c_int) -> Ptr {
    // SAFETY: an info of this library; an out-pointer of the caller.
    unsafe { *out = objects::info(info).element };
    ptr::null_mut()
}

unsafe extern "C" fn get_rank(info: Ptr, out: *mut usize) -> Ptr {
    // SAFETY: as above.
    unsafe { *out = objects::info(info).dims.len() };
    ptr::null_mut()
}

unsafe extern "C" fn get_dims(info: Ptr, out: *mut i64, length: usize) -> Ptr {
    // SAFETY: as above; the caller has room for `length`.
    unsafe {
        let dims = &objects::info(info).dims;
        ptr::copy_nonoverlapping(dims.as_ptr(), out, length.min(dims.len()));
    }
    ptr::null_mut()
}

unsafe extern "C" fn get_allocator(out: *mut *mut c_void) -> Ptr {
    // SAFETY: an out-pointer of the caller. The allocator is never released.
    unsafe { *out = ptr::dangling_mut() };
    ptr::null_mut()
}

unsafe extern "C" fn create_tensor(
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

unsafe extern "C" fn get_data(value: Ptr, out: *mut *mut f32) -> Ptr {
    // SAFETY: a value of this library; an out-pointer of the caller.
    unsafe { *out = objects::value(value).data.as_mut_ptr() };
    ptr::null_mut()
}

unsafe extern "C" fn get_value_info(value: Ptr, out: *mut Ptr) -> Ptr {
    // SAFETY: as above.
    unsafe { *out = make(Object::Info(objects::value(value).info.clone())) };
    ptr::null_mut()
}

unsafe extern "C" fn run(
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

unsafe extern "C" fn get_providers(out: *mut *mut *mut c_char, count: *mut c_int) -> Ptr {
    objects::LIVE.fetch_add(1, Ordering::SeqCst);
    let names = Box::new([c"CUDAExecutionProvider".as_ptr().cast_mut()]);
    // SAFETY: out-pointers of the caller.
    unsafe {
        *out = Box::into_raw(names).cast();
        *count = 1;
    }
    ptr::null_mut()
}

unsafe extern "C" fn release_providers(names: *mut *mut c_char, _count: c_int) -> Ptr {
    objects::LIVE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: an array that `get_providers` gave out.
    drop(unsafe { Box::from_raw(names.cast::<[*mut c_char; 1]>()) });
    ptr::null_mut()
}
