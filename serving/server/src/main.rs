//! The program `aimodel-serving`.

#![deny(unsafe_code)]

use std::{env, io::Write as _, panic, path::Path};

use aimodel_server::{
    config::{self, Command, Config, LogFormat},
    fatal::{self, Fatal, Reason},
    process,
};
use tracing_subscriber::{EnvFilter, fmt};

fn main() {
    let command = config::parse(env::args().skip(1), |name| env::var(name).ok());
    let code = match command {
        Ok(Command::Print(text)) => {
            // A closed pipe is no error of ours.
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Ok(Command::Serve(config)) => serve(*config),
        Err(error) => {
            log(LogFormat::Json);
            let log = env::var("AIMODEL_TERMINATION_LOG");
            let log = log.unwrap_or_else(|_| "/dev/termination-log".to_owned());
            end(
                Path::new(&log),
                &Fatal::new(Reason::ParameterInvalid, error.to_string()),
            )
        }
    };
    fatal::leave(code)
}

fn serve(config: Config) -> u8 {
    log(config.log_format);
    panic::set_hook(Box::new(|info| tracing::error!(%info, "panicked")));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?config, "starting");
    let termination_log = config.termination_log.clone();
    match process::run(config) {
        Ok(()) => 0,
        Err(fatal) => end(&termination_log, &fatal),
    }
}

fn end(log: &Path, fatal: &Fatal) -> u8 {
    fatal::record(log, fatal);
    fatal.reason.exit_code()
}

/// Logs to stderr; `RUST_LOG` may ask for more.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
}
