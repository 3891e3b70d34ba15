//! Every setting with its default: the one table behind flags, variables and `--help`.
//!
//! Read by `parse`. A test of the operator reads this file too, to compare names and defaults with
//! the pods that it makes: each entry is one call of `setting` with plain literals.

/// One setting: its flag is `--NAME`, its variable `AIMODEL_NAME` in capitals.
pub(super) struct Setting {
    /// Its flag without the dashes.
    pub(super) name: &'static str,
    /// Its value when neither flag nor variable is given.
    pub(super) default: &'static str,
    /// What it does, for `--help`.
    pub(super) help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        help,
    }
}

/// Every setting, in the order of `--help`.
pub(super) const SETTINGS: &[Setting] = &[
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
        "unread-seconds",
        "30",
        "an answer left unread for this long ends its connection; at least 1",
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
    setting(
        "echo-faults",
        "false",
        "true: an echo model may fail, panic, abort and hang as its file says; for tests",
    ),
];

/// The variable of a setting.
pub(super) fn variable(name: &str) -> String {
    format!("AIMODEL_{}", name.replace('-', "_").to_uppercase())
}
