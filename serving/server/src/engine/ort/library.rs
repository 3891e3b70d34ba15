//! ONNX Runtime's shared library: loads it, checks its version and holds the one environment.
//!
//! Called by `session` and by the choice of a device. The environment and the library live until
//! the process ends: releasing them has crashed in several versions.
#![allow(unsafe_code, reason = "calls the C API")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::Path,
    ptr,
};

use aimodel_wire::EngineFailure;

use super::ffi::{API_VERSION, Allocator, Api, ApiBase, Env, GetApiBase, StatusPtr};
use crate::{
    dl::{DlError, LeakedLibrary},
    engine::EngineError,
};

/// The oldest 1.x release that has API 17.
const OLDEST_MINOR: u32 = 17;

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The file cannot be loaded.
    #[error(transparent)]
    Load(#[from] DlError),
    /// The library is of a version this server was not built for.
    #[error("ONNX Runtime {0} at hand; this server needs 1.{OLDEST_MINOR} or a later 1.x")]
    Version(String),
    /// The function table lacks an entry.
    #[error("ONNX Runtime {version} lacks {function}; use a full build of the library")]
    Incomplete {
        /// Version of the library.
        version: String,
        /// The missing function.
        function: &'static str,
    },
    /// The library refused a call.
    #[error("ONNX Runtime: {0}")]
    Call(#[from] OrtError),
}

/// A status other than success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OrtError {
    /// `OrtErrorCode`.
    pub code: c_int,
    /// The library's words.
    pub message: String,
}

impl OrtError {
    /// `ORT_INVALID_ARGUMENT`.
    const INVALID_ARGUMENT: c_int = 2;
    /// `ORT_NOT_IMPLEMENTED`.
    const NOT_IMPLEMENTED: c_int = 9;

    /// An error that this server found itself.
    pub(super) fn found(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            message: message.into(),
        }
    }
}

impl From<OrtError> for EngineError {
    fn from(error: OrtError) -> Self {
        let kind = match error.code {
            OrtError::INVALID_ARGUMENT => EngineFailure::InvalidArgument,
            OrtError::NOT_IMPLEMENTED => EngineFailure::Unimplemented,
            _ if error.message.contains("Failed to allocate memory") => {
                EngineFailure::ResourceExhausted
            }
            _ => EngineFailure::Internal,
        };
        Self::new(kind, error.message)
    }
}

/// The loaded library with its environment.
pub struct Ort {
    pub(super) api: Api,
    pub(super) env: *mut Env,
    pub(super) allocator: *mut Allocator,
    version: &'static str,
}

// SAFETY: the environment, the default allocator and the function table are documented as usable
// from any thread, and they are never released.
unsafe impl Send for Ort {}

// SAFETY: as above; nothing in it changes after it was made.
unsafe impl Sync for Ort {}

impl std::fmt::Debug for Ort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ort")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Ort {
    /// Loads the library at `path` and makes the environment, telemetry off.
    ///
    /// # Errors
    /// When the file is no ONNX Runtime of a usable version.
    pub fn load(path: &Path) -> Result<&'static Self, LibraryError> {
        let library = LeakedLibrary::open(path)?;
        // SAFETY: the header declares `const OrtApiBase* OrtGetApiBase(void)`.
        let get_base: GetApiBase = unsafe { library.symbol("OrtGetApiBase")? };
        // SAFETY: takes nothing; returns a pointer to a static structure, or null.
        let base: Option<&'static ApiBase> = unsafe { get_base().as_ref() };
        let base = base.ok_or_else(|| LibraryError::Version("without an API".to_owned()))?;
        // SAFETY: returns a static C string.
        let version = unsafe { text((base.get_version_string)()) };
        if !is_supported(&version) {
            return Err(LibraryError::Version(version));
        }
        // SAFETY: null for an unknown version, else a table of at least API_VERSION's length.
        let table = unsafe { (base.get_api)(API_VERSION) };
        if table.is_null() {
            return Err(LibraryError::Version(version));
        }
        // SAFETY: the library itself returned this table for API_VERSION.
        let api = unsafe { Api::read(table) }.map_err(|function| LibraryError::Incomplete {
            version: version.clone(),
            function,
        })?;
        let version = Box::leak(version.into_boxed_str());
        let ort = Self {
            api,
            env: ptr::null_mut(),
            allocator: ptr::null_mut(),
            version,
        };
        // Leaked: engines on every thread use it until the process ends.
        Ok(Box::leak(Box::new(ort.started()?)))
    }

    fn started(mut self) -> Result<Self, OrtError> {
        let (api, name) = (self.api, c"aimodel".as_ptr());
        let (mut env, mut allocator) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the logger is a static function that takes a null parameter; out-pointers are
        // valid; the environment is used only after its creation succeeded.
        unsafe {
            self.check((api.create_env_with_custom_logger)(
                log,
                ptr::null_mut(),
                WARNING,
                name,
                &raw mut env,
            ))?;
            self.check((api.disable_telemetry_events)(env))?;
            self.check((api.get_allocator_with_default_options)(&raw mut allocator))?;
        }
        (self.env, self.allocator) = (env, allocator);
        Ok(self)
    }

    /// The library's version.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// Turns a status into a result and releases it.
    pub(super) fn check(&self, status: StatusPtr) -> Result<(), OrtError> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: a non-null status is valid until it is released here, once; the message is
        // copied before.
        unsafe {
            let code = (self.api.get_error_code)(status);
            let message = text((self.api.get_error_message)(status));
            (self.api.release_status)(status);
            Err(OrtError { code, message })
        }
    }

    /// The names of the execution providers that the library was built with.
    ///
    /// # Errors
    /// When the library refuses the call.
    pub fn providers(&self) -> Result<Vec<String>, OrtError> {
        let (mut names, mut count): (*mut *mut c_char, c_int) = (ptr::null_mut(), 0);
        // SAFETY: on success `names` holds `count` C strings, which are copied and released once.
        unsafe {
            self.check((self.api.get_available_providers)(
                &raw mut names,
                &raw mut count,
            ))?;
            let found = (0..usize::try_from(count).unwrap_or(0))
                .map(|i| text(*names.add(i)))
                .collect();
            self.check((self.api.release_available_providers)(names, count))?;
            Ok(found)
        }
    }

    /// A name that the library allocated, copied; the library's memory is given back.
    pub(super) fn take_string(&self, string: *mut c_char) -> Result<CString, OrtError> {
        // SAFETY: `string` is a C string allocated by the default allocator, freed once, here.
        unsafe {
            let copy = CStr::from_ptr(string).to_owned();
            self.check((self.api.allocator_free)(
                self.allocator,
                string.cast::<c_void>(),
            ))?;
            Ok(copy)
        }
    }
}

/// `ORT_LOGGING_LEVEL_WARNING`.
const WARNING: c_int = 2;
/// `ORT_LOGGING_LEVEL_ERROR`.
const ERROR: c_int = 3;

/// Called by the library, from any thread, for its warnings and errors.
unsafe extern "C" fn log(
    _parameter: *mut c_void,
    severity: c_int,
    _category: *const c_char,
    _log_id: *const c_char,
    location: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the library passes C strings that live over the call, or null.
    let (location, message) = unsafe { (text(location), text(message)) };
    // A panic must not unwind into C++.
    let _ = std::panic::catch_unwind(|| {
        if severity >= ERROR {
            tracing::error!(engine = "ONNX", location, "{message}");
        } else {
            tracing::warn!(engine = "ONNX", location, "{message}");
        }
    });
}

/// A copy of a C string; empty for null.
///
/// # Safety
/// `string` is null or a C string.
pub(super) unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}

fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(1)), Some(Ok(minor))) if minor >= OLDEST_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_gate() {
        for (version, supported) in [
            ("1.17.0", true),
            ("1.32.0", true),
            ("1.16.3", false),
            ("2.0.0", false),
            ("", false),
        ] {
            assert_eq!(is_supported(version), supported, "{version}");
        }
    }
}
