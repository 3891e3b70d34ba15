//! The part of ONNX Runtime's C API that is used: opaque types, the function table, its versions.
//!
//! `OrtApi` is a C struct of function pointers that only ever grows at its end (the header forbids
//! any other change), so a function is known by its slot number. The numbers below follow
//! `onnxruntime_c_api.h` at API version 17; only the used ones are read. Called by `library` and
//! `session`; nothing else may call through these pointers.
#![allow(unsafe_code, reason = "declares and reads a C function table")]

use std::ffi::{c_char, c_int, c_void};

/// API version whose table prefix is used; every later library keeps it.
pub(crate) const API_VERSION: u32 = 17;

macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[doc = concat!("Opaque `Ort", stringify!($name), "`.")]
        #[repr(C)]
        pub(crate) struct $name { _private: [u8; 0] }
    )*};
}
opaque!(
    Status,
    Env,
    Session,
    SessionOptions,
    RunOptions,
    Value,
    TypeInfo,
    TensorInfo,
    Allocator,
    CudaOptions
);

/// `OrtApiBase`, what `OrtGetApiBase` returns.
#[repr(C)]
pub(crate) struct ApiBase {
    pub(crate) get_api: unsafe extern "C" fn(u32) -> *const Slot,
    pub(crate) get_version_string: unsafe extern "C" fn() -> *const c_char,
}

/// One entry of the function table.
pub(crate) type Slot = *const c_void;

/// `OrtGetApiBase`.
pub(crate) type GetApiBase = unsafe extern "C" fn() -> *const ApiBase;

/// `OrtLoggingFunction`: parameter, severity, category, log id, code location, message.
pub(crate) type LoggingFunction = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
);

/// A null pointer on success, else a status that the caller releases.
pub(crate) type StatusPtr = *mut Status;

macro_rules! api {
    ($($slot:literal $name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The used functions, typed.
        #[derive(Clone, Copy)]
        pub(crate) struct Api {
            $(pub(crate) $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        /// Slot and name of every used function.
        #[cfg(test)]
        pub(crate) const USED: &[(usize, &str)] = &[$(($slot, stringify!($name)),)*];

        impl Api {
            /// Copies the used pointers out of a function table; the error names an empty slot.
            ///
            /// # Safety
            /// `table` must be what `GetApi(API_VERSION)` of a real library returned.
            pub(crate) unsafe fn read(table: *const Slot) -> Result<Self, &'static str> {
                Ok(Self {$(
                    $name: {
                        // SAFETY: the table of API 17 has more than 270 slots, all used ones
                        // lie below; a slot is one function pointer, null when not built in.
                        let slot = unsafe { *table.add($slot) };
                        if slot.is_null() {
                            return Err(stringify!($name));
                        }
                        // SAFETY: non-null, and the header gives this slot this signature.
                        unsafe {
                            std::mem::transmute::<Slot, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(slot)
                        }
                    },
                )*})
            }
        }
    };
}

api! {
    1 get_error_code: fn(*const Status) -> c_int;
    2 get_error_message: fn(*const Status) -> *const c_char;
    4 create_env_with_custom_logger: fn(LoggingFunction, *mut c_void, c_int, *const c_char, *mut *mut Env) -> StatusPtr;
    6 disable_telemetry_events: fn(*const Env) -> StatusPtr;
    7 create_session: fn(*const Env, *const c_char, *const SessionOptions, *mut *mut Session) -> StatusPtr;
    9 run: fn(*mut Session, *const RunOptions, *const *const c_char, *const *const Value, usize, *const *const c_char, usize, *mut *mut Value) -> StatusPtr;
    10 create_session_options: fn(*mut *mut SessionOptions) -> StatusPtr;
    17 disable_mem_pattern: fn(*mut SessionOptions) -> StatusPtr;
    19 disable_cpu_mem_arena: fn(*mut SessionOptions) -> StatusPtr;
    24 set_intra_op_num_threads: fn(*mut SessionOptions, c_int) -> StatusPtr;
    25 set_inter_op_num_threads: fn(*mut SessionOptions, c_int) -> StatusPtr;
    30 session_get_input_count: fn(*const Session, *mut usize) -> StatusPtr;
    31 session_get_output_count: fn(*const Session, *mut usize) -> StatusPtr;
    33 session_get_input_type_info: fn(*const Session, usize, *mut *mut TypeInfo) -> StatusPtr;
    34 session_get_output_type_info: fn(*const Session, usize, *mut *mut TypeInfo) -> StatusPtr;
    36 session_get_input_name: fn(*const Session, usize, *mut Allocator, *mut *mut c_char) -> StatusPtr;
    37 session_get_output_name: fn(*const Session, usize, *mut Allocator, *mut *mut c_char) -> StatusPtr;
    48 create_tensor_as_ort_value: fn(*mut Allocator, *const i64, usize, c_int, *mut *mut Value) -> StatusPtr;
    51 get_tensor_mutable_data: fn(*mut Value, *mut *mut c_void) -> StatusPtr;
    53 get_string_tensor_data_length: fn(*const Value, *mut usize) -> StatusPtr;
    54 get_string_tensor_content: fn(*const Value, *mut c_void, usize, *mut usize, usize) -> StatusPtr;
    55 cast_type_info_to_tensor_info: fn(*const TypeInfo, *mut *const TensorInfo) -> StatusPtr;
    60 get_tensor_element_type: fn(*const TensorInfo, *mut c_int) -> StatusPtr;
    61 get_dimensions_count: fn(*const TensorInfo, *mut usize) -> StatusPtr;
    62 get_dimensions: fn(*const TensorInfo, *mut i64, usize) -> StatusPtr;
    65 get_tensor_type_and_shape: fn(*const Value, *mut *mut TensorInfo) -> StatusPtr;
    76 allocator_free: fn(*mut Allocator, *mut c_void) -> StatusPtr;
    78 get_allocator_with_default_options: fn(*mut *mut Allocator) -> StatusPtr;
    93 release_status: fn(*mut Status);
    95 release_session: fn(*mut Session);
    96 release_value: fn(*mut Value);
    98 release_type_info: fn(*mut TypeInfo);
    99 release_tensor_info: fn(*mut TensorInfo);
    100 release_session_options: fn(*mut SessionOptions);
    125 get_available_providers: fn(*mut *mut *mut c_char, *mut c_int) -> StatusPtr;
    126 release_available_providers: fn(*mut *mut c_char, c_int) -> StatusPtr;
    130 add_session_config_entry: fn(*mut SessionOptions, *const c_char, *const c_char) -> StatusPtr;
    204 append_cuda: fn(*mut SessionOptions, *const CudaOptions) -> StatusPtr;
    205 create_cuda_options: fn(*mut *mut CudaOptions) -> StatusPtr;
    208 release_cuda_options: fn(*mut CudaOptions);
    252 get_resized_string_buffer: fn(*mut Value, usize, usize, *mut *mut c_char) -> StatusPtr;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots that ONNX Runtime's own `static_assert`s and section marks in `onnxruntime_c_api.cc`
    /// fix: the last function of an API version, or a used neighbour counted from one.
    const PUBLISHED: &[(usize, &str)] = &[
        (9, "run"),
        (93, "release_status"),
        (100, "release_session_options"),
        (204, "append_cuda"),
        (252, "get_resized_string_buffer"),
    ];

    #[test]
    fn slots_rise_and_none_is_used_twice() {
        assert!(
            USED.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "{USED:?}"
        );
    }

    #[test]
    fn slots_agree_with_the_published_ones() {
        for wanted in PUBLISHED {
            assert!(USED.contains(wanted), "{wanted:?}");
        }
    }

    #[test]
    fn a_slot_is_one_pointer_and_api_base_is_two() {
        assert_eq!(size_of::<Slot>(), size_of::<unsafe extern "C" fn()>());
        assert_eq!(size_of::<ApiBase>(), 2 * size_of::<Slot>());
        assert_eq!(
            std::mem::offset_of!(ApiBase, get_version_string),
            size_of::<Slot>()
        );
        assert_eq!(size_of::<Api>(), USED.len() * size_of::<Slot>());
    }

    #[test]
    fn an_empty_slot_is_named() {
        let table = vec![std::ptr::null(); 300];
        // SAFETY: 300 slots, longer than the highest one that is read.
        let error = unsafe { Api::read(table.as_ptr()) }.err();
        assert_eq!(error, Some("get_error_code"));
    }
}
