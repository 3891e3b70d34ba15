//! Settings: turns the command line and the environment into one checked [`Config`].
//!
//! Called once by `main` before any thread starts. Every default is in [`SETTINGS`]; a flag beats
//! its variable; a value that does not parse is an error and never replaced by a default.

use std::{
    collections::HashMap,
    fmt::{Display, Write as _},
    net::IpAddr,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

/// One setting: its flag is `--NAME`, its variable `AIMODEL_NAME` in capitals.
struct Setting {
    name: &'static str,
    default: &'static str,
    help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        help,
    }
}

const SETTINGS: &[Setting] = &[
    setting(
        "model-name",
        "",
        "name under which the model is served; default: its folder's name",
    ),
    setting(
        "revision",
        "",
        "sent as x-aimodel-revision with every prediction",
    ),
    setting("max-rows", "64", "rows of one batch at most"),
    setting(
        "max-delay-milliseconds",
        "0",
        "how long a batch may wait to fill; 0: never",
    ),
    setting(
        "max-in-flight",
        "256",
        "requests taken in at once; more are refused at once",
    ),
    setting("timeout-seconds", "30", "longest time a request may take"),
    setting(
        "drain-seconds",
        "5",
        "how long to go on accepting after SIGTERM",
    ),
    setting(
        "grace-seconds",
        "40",
        "time from SIGTERM to the end, at most",
    ),
    setting("engine", "Auto", "Auto or ONNX; Auto looks at the files"),
    setting("device", "CPU", "CPU or CUDA"),
    setting("ort-library", "", "absolute path of libonnxruntime.so"),
    setting(
        "termination-log",
        "/dev/termination-log",
        "where the cause of a fatal end is written",
    ),
    setting("log-format", "json", "json or text"),
    setting("bind", "0.0.0.0", "address to listen on"),
    setting(
        "grpc-port",
        "8001",
        "inference, health and reflection; 0: any free port",
    ),
    setting("admin-port", "8002", "/metrics, /livez, /readyz and /scale"),
    setting("health-port", "8003", "grpc.health.v1 alone"),
    setting("max-connections", "512", "connections at most"),
    setting(
        "connection-age-seconds",
        "600",
        "a connection is asked to reopen after this; 0: never",
    ),
    setting(
        "stuck-seconds",
        "120",
        "a batch running longer makes the process count as stuck",
    ),
    setting(
        "cpus",
        "0",
        "CPUs to plan threads for; 0: what the container may use",
    ),
];

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
    /// A batch running longer than this is stuck.
    pub stuck_after: Duration,
    /// CPUs to plan for; `None`: ask the kernel.
    pub cpus: Option<usize>,
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

fn wrong(setting: impl Into<String>, problem: impl Display) -> ConfigError {
    ConfigError {
        setting: setting.into(),
        problem: problem.to_string(),
    }
}

struct Values(HashMap<&'static str, String>);

impl Values {
    fn text(&self, name: &'static str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn parse<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, ConfigError> {
        let text = self.0.get(name).map_or("", String::as_str);
        text.parse()
            .map_err(|error| wrong(format!("--{name} {text:?}"), error))
    }

    fn at_least_one(&self, name: &'static str) -> Result<usize, ConfigError> {
        match self.parse(name)? {
            0 => Err(wrong(format!("--{name} 0"), "must be at least 1")),
            value => Ok(value),
        }
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let seconds: f64 = self.parse(name)?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|value| *value <= Duration::from_hours(366 * 24))
            .ok_or_else(|| wrong(format!("--{name} {seconds}"), "must be from 0 to one year"))
    }

    fn choice<T: Copy>(&self, name: &'static str, of: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.0.get(name).map_or("", String::as_str);
        of.iter()
            .find(|(known, _)| *known == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let known: Vec<_> = of.iter().map(|(known, _)| *known).collect();
                wrong(
                    format!("--{name} {text:?}"),
                    format!("must be one of {}", known.join(", ")),
                )
            })
    }
}

fn variable(name: &str) -> String {
    format!("AIMODEL_{}", name.replace('-', "_").to_uppercase())
}

fn help() -> String {
    let mut text =
        String::from("aimodel-serving MODELS: serves the model in MODELS/NAME/VERSION\n\n");
    for Setting {
        name,
        default,
        help,
    } in SETTINGS
    {
        let variable = variable(name);
        // Writing to a string does not fail.
        let _ = writeln!(text, "  --{name} ({variable}) [{default}]\n      {help}");
    }
    text
}

/// Reads `args` (without the program's name), then the environment through `env`.
///
/// # Errors
/// When a setting is unknown or its value cannot be used.
pub fn parse(
    args: impl IntoIterator<Item = String>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Command, ConfigError> {
    let mut values: HashMap<_, _> = SETTINGS
        .iter()
        .map(|s| {
            (
                s.name,
                env(&variable(s.name)).unwrap_or_else(|| s.default.to_owned()),
            )
        })
        .collect();
    let mut models = None;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--") else {
            if models.replace(PathBuf::from(&arg)).is_some() {
                return Err(wrong(arg, "only one folder of models can be served"));
            }
            continue;
        };
        let (flag, inline) = flag
            .split_once('=')
            .map_or((flag, None), |(f, v)| (f, Some(v)));
        match flag {
            "help" => return Ok(Command::Print(help())),
            "version" => return Ok(Command::Print(format!("{}\n", env!("CARGO_PKG_VERSION")))),
            _ => {}
        }
        let known = SETTINGS.iter().find(|s| s.name == flag);
        let name = known
            .ok_or_else(|| wrong(&arg, "unknown; --help lists all"))?
            .name;
        let value = inline.map(str::to_owned).or_else(|| args.next());
        values.insert(name, value.ok_or_else(|| wrong(arg, "needs a value"))?);
    }
    let models = models.ok_or_else(|| wrong("MODELS", "the folder of models is missing"))?;
    build(models, &Values(values)).map(|config| Command::Serve(Box::new(config)))
}

fn build(models: PathBuf, values: &Values) -> Result<Config, ConfigError> {
    let age = values.seconds("connection-age-seconds")?;
    let cpus: usize = values.parse("cpus")?;
    Ok(Config {
        models,
        model_name: values.text("model-name"),
        revision: values.text("revision"),
        max_rows: values.at_least_one("max-rows")?,
        max_delay: Duration::from_millis(values.parse::<u32>("max-delay-milliseconds")?.into()),
        max_in_flight: values.at_least_one("max-in-flight")?,
        timeout: values.seconds("timeout-seconds")?,
        drain: values.seconds("drain-seconds")?,
        grace: values.seconds("grace-seconds")?,
        engine: values.choice(
            "engine",
            &[("Auto", EngineChoice::Auto), ("ONNX", EngineChoice::Onnx)],
        )?,
        device: values.choice("device", &[("CPU", Device::Cpu), ("CUDA", Device::Cuda)])?,
        ort_library: values.text("ort-library").map(PathBuf::from),
        termination_log: values.parse("termination-log")?,
        log_format: values.choice(
            "log-format",
            &[("json", LogFormat::Json), ("text", LogFormat::Text)],
        )?,
        bind: values.parse("bind")?,
        grpc_port: values.parse("grpc-port")?,
        admin_port: values.parse("admin-port")?,
        health_port: values.parse("health-port")?,
        max_connections: values.at_least_one("max-connections")?,
        connection_age: (!age.is_zero()).then_some(age),
        stuck_after: values.seconds("stuck-seconds")?,
        cpus: (cpus > 0).then_some(cpus),
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
