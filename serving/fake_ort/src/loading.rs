//! Up to a session and what it says of its model: environment, options, names and types.
//!
//! Called through the table of `table`. The environment and the allocator are never released, as
//! the server holds them for ever, so they are not counted.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr,
    sync::atomic::Ordering,
};

use crate::{
    Fault, is,
    objects::{self, Info, Object, Ptr, fail, make},
};

pub(crate) unsafe extern "C" fn create_env(
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

pub(crate) extern "C" fn accept_one(_object: *const c_void) -> Ptr {
    ptr::null_mut()
}

pub(crate) extern "C" fn accept_two(_one: *const c_void, _other: *const c_void) -> Ptr {
    ptr::null_mut()
}

pub(crate) extern "C" fn accept_number(_object: *const c_void, number: c_int) -> Ptr {
    if number >= 1 {
        ptr::null_mut()
    } else {
        fail(2, c"threads must be counted")
    }
}

pub(crate) extern "C" fn accept_entry(
    _: *const c_void,
    _key: *const c_char,
    _value: *const c_char,
) -> Ptr {
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn create_options(out: *mut Ptr) -> Ptr {
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = make(Object::Plain) };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn create_session(
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

pub(crate) unsafe extern "C" fn get_allocator(out: *mut *mut c_void) -> Ptr {
    // SAFETY: an out-pointer of the caller. The allocator is never released.
    unsafe { *out = ptr::dangling_mut() };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_providers(
    out: *mut *mut *mut c_char,
    count: *mut c_int,
) -> Ptr {
    objects::LIVE.fetch_add(1, Ordering::SeqCst);
    let names = Box::new([c"CUDAExecutionProvider".as_ptr().cast_mut()]);
    // SAFETY: out-pointers of the caller.
    unsafe {
        *out = Box::into_raw(names).cast();
        *count = 1;
    }
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn release_providers(names: *mut *mut c_char, _count: c_int) -> Ptr {
    objects::LIVE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: an array that `get_providers` gave out.
    drop(unsafe { Box::from_raw(names.cast::<[*mut c_char; 1]>()) });
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn count_one(_session: Ptr, out: *mut usize) -> Ptr {
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = 1 };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn get_type(_session: Ptr, index: usize, out: *mut Ptr) -> Ptr {
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

pub(crate) unsafe extern "C" fn get_input_name(
    _: Ptr,
    _: usize,
    _: *mut c_void,
    out: *mut Ptr,
) -> Ptr {
    // SAFETY: as `name`.
    unsafe { name(out, c"x") }
}

pub(crate) unsafe extern "C" fn get_output_name(
    _: Ptr,
    _: usize,
    _: *mut c_void,
    out: *mut Ptr,
) -> Ptr {
    // SAFETY: as `name`.
    unsafe { name(out, c"y") }
}

unsafe fn name(out: *mut Ptr, name: &CStr) -> Ptr {
    objects::LIVE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: an out-pointer of the caller.
    unsafe { *out = name.to_owned().into_raw().cast() };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn free_string(_allocator: *mut c_void, string: *mut c_void) -> Ptr {
    objects::LIVE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: a string that `name` gave out.
    drop(unsafe { CString::from_raw(string.cast()) });
    ptr::null_mut()
}
