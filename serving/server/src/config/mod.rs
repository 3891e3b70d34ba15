//! Settings: turns the command line and the environment into one checked [`Config`].
//!
//! [`parse`] is called once by `main` before any thread starts. Every name and default is in
//! `table`; a flag beats its variable; a value that does not parse is an error and never replaced by
//! a default.

mod parse;
mod table;

use std::{net::IpAddr, path::PathBuf, time::Duration};

pub use parse::parse;

/// Which engine runs the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// Decided by the files of the model.
    Auto,
    /// ONNX Runtime.
    Onnx,
}

/// Where the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl Device {
    /// The name used in settings, metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder with `NAME/VERSION/`.
    pub models: PathBuf,
    /// Served name; `None`: the folder's.
    pub model_name: Option<String>,
    /// Revision to report.
    pub revision: Option<String>,
    /// Rows of a batch at most.
    pub max_rows: usize,
    /// How long a batch may wait to fill.
    pub max_delay: Duration,
    /// Requests in flight at most.
    pub max_in_flight: usize,
    /// Longest time of a request.
    pub timeout: Duration,
    /// How long to go on accepting after SIGTERM.
    pub drain: Duration,
    /// Time from SIGTERM to the end.
    pub grace: Duration,
    /// Engine.
    pub engine: EngineChoice,
    /// Device.
    pub device: Device,
    /// ONNX Runtime's library.
    pub ort_library: Option<PathBuf>,
    /// Where the cause of a fatal end goes.
    pub termination_log: PathBuf,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port of inference.
    pub grpc_port: u16,
    /// Port of the admin HTTP server.
    pub admin_port: u16,
    /// Port of health alone.
    pub health_port: u16,
    /// Connections at most.
    pub max_connections: usize,
    /// Age at which a connection is asked to reopen; `None`: never.
    pub connection_age: Option<Duration>,
    /// How long an answer may stay unread.
    pub unread: Duration,
    /// A batch running longer than this is stuck.
    pub stuck_after: Duration,
    /// CPUs to plan for; `None`: ask the kernel.
    pub cpus: Option<usize>,
    /// Whether an echo model may be told to fail.
    pub echo_faults: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Config>),
    /// Print this text and end well.
    Print(String),
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    setting: String,
    problem: String,
}

#[cfg(test)]
mod tests;
