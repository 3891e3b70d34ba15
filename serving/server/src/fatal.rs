//! The last words of the process: writes why it ends to the termination log, and ends it.
//!
//! Called by `main` for orderly ends, prepared by `process` for crashes: on an abort or a bad memory
//! access inside an engine the signal handler writes a line that was formatted before. The handler
//! may only use what is async-signal-safe: no allocation, no lock, no formatting.
#![allow(unsafe_code, reason = "installs a signal handler and leaves by _exit")]

use std::{
    ffi::{CString, c_int},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// What the kubelet keeps of a termination log is 4 KiB; the contract asks for less.
const MESSAGE_LIMIT: usize = 1024;

/// Why the process ended; the names are reasons of the custom resource's status, which a test of the
/// operator compares with the lines `Self::… => "…"` below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A setting is wrong.
    ParameterInvalid,
    /// The model cannot be loaded or does not survive its warm-up.
    ModelLoadFailed,
    /// The engine failed for good while serving.
    ModelCrashed,
    /// The device that was asked for cannot be used.
    AcceleratorUnusable,
    /// A port cannot be bound, a thread cannot be started.
    ContainerCrashed,
}

impl Reason {
    /// The name in the termination log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ParameterInvalid => "ParameterInvalid",
            Self::ModelLoadFailed => "ModelLoadFailed",
            Self::ModelCrashed => "ModelCrashed",
            Self::AcceleratorUnusable => "AcceleratorUnusable",
            Self::ContainerCrashed => "ContainerCrashed",
        }
    }

    /// The exit code; 70 is `EX_SOFTWARE`, 78 `EX_CONFIG` of `sysexits.h`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::ParameterInvalid => 78,
            Self::ModelCrashed => 70,
            _ => 1,
        }
    }
}

/// A fatal end.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", reason.as_str())]
pub struct Fatal {
    /// Class of the cause.
    pub reason: Reason,
    /// The cause in words: what, which object, what to do.
    pub message: String,
}

impl Fatal {
    /// A fatal end for `reason`.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

fn report(reason: Reason, message: &str) -> String {
    let mut end = message.len().min(MESSAGE_LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    serde_json::json!({"reason": reason.as_str(), "message": &message[..end]}).to_string()
}

/// Writes the cause to the termination log; a log that cannot be written only costs a warning.
pub fn record(log: &Path, fatal: &Fatal) {
    tracing::error!(
        reason = fatal.reason.as_str(),
        message = fatal.message,
        "fatal"
    );
    if let Err(error) = fs::write(log, report(fatal.reason, &fatal.message)) {
        tracing::warn!(%error, path = %log.display(), "cannot write the termination log");
    }
}

/// What the handler needs, made ahead.
struct Prepared {
    path: CString,
    lines: Vec<(c_int, String)>,
}

static PREPARED: AtomicPtr<Prepared> = AtomicPtr::new(ptr::null_mut());

const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
];

/// From now on a crash of the process leaves `ModelCrashed` with `what` in the termination log.
pub fn watch_for_crashes(log: &Path, what: &str) {
    let Ok(path) = CString::new(log.as_os_str().as_bytes()) else {
        return;
    };
    let lines = SIGNALS
        .iter()
        .map(|(signal, name)| {
            let message = format!("{name} while running {what}");
            (*signal, report(Reason::ModelCrashed, &message))
        })
        .collect();
    // Leaked on purpose: the handler may run until the very end.
    PREPARED.store(
        Box::into_raw(Box::new(Prepared { path, lines })),
        Ordering::Release,
    );
    for (signal, _) in SIGNALS {
        // SAFETY: an all-zero sigaction is a valid one.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_crash as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
        // SAFETY: `action` is initialised and lives over the call; the handler is
        // async-signal-safe, as its comments show.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            tracing::warn!(signal, "cannot watch for a signal");
        }
    }
}

extern "C" fn on_crash(signal: c_int) {
    // SAFETY: the pointer is null or was leaked by `watch_for_crashes`; nothing writes to it.
    let prepared = unsafe { PREPARED.load(Ordering::Acquire).as_ref() };
    let line = prepared.and_then(|p| p.lines.iter().find(|(known, _)| *known == signal));
    if let (Some(prepared), Some((_, line))) = (prepared, line) {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        // SAFETY: open, write and close are async-signal-safe; path and line are leaked.
        unsafe {
            let file = libc::open(prepared.path.as_ptr(), flags, 0o644);
            for target in [file, libc::STDERR_FILENO] {
                // A failed write cannot be told to anyone from here.
                let _ = libc::write(target, line.as_ptr().cast(), line.len());
            }
            libc::close(file);
        }
    }
    // SAFETY: raise and _exit are async-signal-safe. The handler was reset on entry, so raise ends
    // the process with the true cause; process 1 of a container ignores that, hence the exit.
    unsafe {
        libc::raise(signal);
        libc::_exit(128 + signal);
    }
}

/// Ends the process without running destructors of C++ libraries, which crash in some engines.
pub fn leave(code: u8) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_json_and_short() {
        let long = "é".repeat(2000);
        let text = report(Reason::ModelLoadFailed, &long);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["reason"], "ModelLoadFailed");
        assert_eq!(value["message"].as_str().unwrap().len(), MESSAGE_LIMIT);
        let cut = report(Reason::ModelLoadFailed, &format!("x{long}"));
        let value: serde_json::Value = serde_json::from_str(&cut).unwrap();
        assert_eq!(value["message"].as_str().unwrap().len(), MESSAGE_LIMIT - 1);
    }

    #[test]
    fn a_report_names_the_reason_and_quotes() {
        let text = report(Reason::ModelCrashed, "a \"quoted\"\nline");
        assert_eq!(
            text,
            r#"{"message":"a \"quoted\"\nline","reason":"ModelCrashed"}"#
        );
    }
}
