use super::{
    table::{SETTINGS, variable},
    *,
};

fn config(args: &[&str], env: &[(&str, &str)]) -> Result<Box<Config>, ConfigError> {
    let args = args.iter().map(ToString::to_string);
    let env = |name: &str| {
        env.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    match parse(args, env)? {
        Command::Serve(config) => Ok(config),
        Command::Print(text) => panic!("printed {text}"),
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = config(&["/models"], &[]).unwrap();
    assert_eq!(config.models, PathBuf::from("/models"));
    assert_eq!((config.max_rows, config.max_in_flight), (64, 256));
    assert_eq!(config.timeout, Duration::from_secs(30));
    assert_eq!((config.drain.as_secs(), config.grace.as_secs()), (5, 40));
    assert_eq!(
        (config.grpc_port, config.admin_port, config.health_port),
        (8001, 8002, 8003)
    );
    assert_eq!(
        config.termination_log,
        PathBuf::from("/dev/termination-log")
    );
    assert_eq!(
        (config.engine, config.device),
        (EngineChoice::Auto, Device::Cpu)
    );
    assert_eq!(
        (config.model_name, config.revision, config.ort_library),
        (None, None, None)
    );
}

#[test]
fn a_flag_beats_its_variable() {
    let env = [("AIMODEL_MAX_ROWS", "8"), ("AIMODEL_MAX_IN_FLIGHT", "9")];
    let config = config(&["--max-rows=4", "/models", "--bind", "::1"], &env).unwrap();
    assert_eq!((config.max_rows, config.max_in_flight), (4, 9));
    assert_eq!(config.bind.to_string(), "::1");
}

#[test]
fn wrong_values_name_the_setting() {
    for (args, named) in [
        (vec!["/models", "--max-rows", "0"], "--max-rows 0"),
        (vec!["/models", "--max-rows", "many"], "--max-rows \"many\""),
        (vec!["/models", "--engine", "TensorFlow"], "Auto, ONNX"),
        (
            vec!["/models", "--timeout-seconds", "-1"],
            "--timeout-seconds -1",
        ),
        (
            vec!["/models", "--timeout-seconds", "NaN"],
            "--timeout-seconds NaN",
        ),
        (
            vec!["/models", "--unread-seconds=0.9"],
            "--unread-seconds 0.9: must be at least 1",
        ),
        (vec!["/models", "--echo-faults=yes"], "false, true"),
        (vec!["/models", "--grpc-port", "70000"], "--grpc-port"),
        (vec!["/models", "--frobnicate", "1"], "unknown"),
        (vec!["/models", "--bind"], "needs a value"),
        (vec!["/models", "/more"], "only one folder"),
        (vec![], "MODELS"),
    ] {
        let error = config(&args, &[]).unwrap_err().to_string();
        assert!(error.contains(named), "{args:?}: {error}");
    }
}

#[test]
fn help_lists_every_setting() {
    let Ok(Command::Print(text)) = parse(["--help".to_owned()], |_| None) else {
        panic!("not printed");
    };
    assert!(
        SETTINGS.iter().all(|s| text.contains(&variable(s.name))),
        "{text}"
    );
}
