//! The entry point of the library and its table of functions by slot.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use crate::{Fault, is, loading, objects::release, running};

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
        (1, running::get_error_code as *const c_void),
        (2, running::get_error_message as *const c_void),
        (4, loading::create_env as *const c_void),
        (6, loading::accept_one as *const c_void),
        (7, loading::create_session as *const c_void),
        (9, running::run as *const c_void),
        (10, loading::create_options as *const c_void),
        (17, loading::accept_one as *const c_void),
        (19, loading::accept_one as *const c_void),
        (24, loading::accept_number as *const c_void),
        (25, loading::accept_number as *const c_void),
        (30, loading::count_one as *const c_void),
        (31, loading::count_one as *const c_void),
        (33, loading::get_type as *const c_void),
        (34, loading::get_type as *const c_void),
        (36, loading::get_input_name as *const c_void),
        (37, loading::get_output_name as *const c_void),
        (48, running::create_tensor as *const c_void),
        (51, running::get_data as *const c_void),
        (53, unused as *const c_void),
        (54, unused as *const c_void),
        (55, running::cast_type as *const c_void),
        (60, running::get_element as *const c_void),
        (61, running::get_rank as *const c_void),
        (62, running::get_dims as *const c_void),
        (65, running::get_value_info as *const c_void),
        (76, loading::free_string as *const c_void),
        (78, loading::get_allocator as *const c_void),
        (93, release as *const c_void),
        (95, release as *const c_void),
        (96, release as *const c_void),
        (98, release as *const c_void),
        (99, release as *const c_void),
        (100, release as *const c_void),
        (125, loading::get_providers as *const c_void),
        (126, loading::release_providers as *const c_void),
        (130, loading::accept_entry as *const c_void),
        (204, loading::accept_two as *const c_void),
        (205, loading::create_options as *const c_void),
        (208, release as *const c_void),
        (252, unused as *const c_void),
    ]
}
