//! Shared libraries: opens an engine's library and hands out its symbols as typed function pointers.
//!
//! Called by the engines while they load. A library is never closed: engines start threads and
//! register thread-locals that would outlive it. Every symbol is resolved at load, so that a
//! missing one is a load failure and never a failed request.
#![allow(
    unsafe_code,
    reason = "dlopen and dlsym are the one way to reach an engine's C API"
)]

use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Why a shared library could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DlError {
    /// The path is relative: it would be searched in directories that someone else may write.
    #[error("{0} is not an absolute path; set AIMODEL_ORT_LIBRARY to the full path of the library")]
    Relative(PathBuf),
    /// The loader refused the file.
    #[error("cannot load {path}: {source}")]
    Open {
        /// The library that was asked for.
        path: PathBuf,
        /// What the loader said.
        source: libloading::Error,
    },
    /// The file is a library, but not the one expected.
    #[error("{path} exports no {symbol}; it is not the library this server was built for")]
    Symbol {
        /// The library that was opened.
        path: PathBuf,
        /// The name it lacks.
        symbol: &'static str,
    },
}

/// An opened library that stays loaded until the process ends.
#[derive(Debug)]
pub struct LeakedLibrary {
    path: PathBuf,
    library: &'static Library,
}

impl LeakedLibrary {
    /// Opens `path` with every symbol bound now and none shared with other libraries.
    ///
    /// # Errors
    /// When the path is relative or the loader refuses the file.
    pub fn open(path: &Path) -> Result<Self, DlError> {
        if !path.is_absolute() {
            return Err(DlError::Relative(path.to_owned()));
        }
        // SAFETY: running a library's constructors is what the caller asks for; the path is
        // absolute, comes from the operator's configuration and not from a request.
        let opened = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let library = opened.map_err(|source| DlError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            library: Box::leak(Box::new(library)),
        })
    }

    /// Resolves `symbol` as a `T`, which must be a function pointer type.
    ///
    /// # Errors
    /// When the library lacks it.
    ///
    /// # Safety
    /// `T` must be the type that the library's C header gives the symbol.
    pub unsafe fn symbol<T: Copy>(&self, symbol: &'static str) -> Result<T, DlError> {
        // SAFETY: the caller vouches for `T`; the library is leaked, so the pointer stays valid.
        let found = unsafe { self.library.get::<T>(symbol.as_bytes()) };
        found.map(|s| *s).map_err(|_| DlError::Symbol {
            path: self.path.clone(),
            symbol,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_refused() {
        let error = LeakedLibrary::open(Path::new("libm.so.6")).unwrap_err();
        assert!(matches!(error, DlError::Relative(_)), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = LeakedLibrary::open(Path::new("/nonexistent/libonnxruntime.so")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/libonnxruntime.so"),
            "{error}"
        );
    }
}
