//! Turns flags and variables into a [`Config`], or says which of them is wrong.
//!
//! Called by `main` as [`super::parse`].

use std::{
    collections::HashMap,
    fmt::{Display, Write as _},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use super::{
    Command, Config, ConfigError, Device, EngineChoice, LogFormat,
    table::{SETTINGS, Setting, variable},
};

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

    fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        self.choice(name, &[("false", false), ("true", true)])
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
    let unread = values.seconds("unread-seconds")?;
    if unread < Duration::from_secs(1) {
        let given = format!("--unread-seconds {}", unread.as_secs_f64());
        return Err(wrong(given, "must be at least 1"));
    }
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
        unread,
        stuck_after: values.seconds("stuck-seconds")?,
        cpus: (cpus > 0).then_some(cpus),
        echo_faults: values.flag("echo-faults")?,
    })
}
