//! What is counted, and the text that a scrape gets.
//!
//! Handles are resolved once, when the model is loaded: a request touches atomics and never looks
//! up a label. Gauges are read from their source at the scrape. Written by the service and the
//! engine threads, read by `admin`.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use tonic::Code;

/// Seconds; the same buckets for request, queue and execution, so that they can be subtracted.
const SECONDS: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
const ROWS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// The names of the gRPC codes by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    model: String,
    code: &'static str,
}

/// What identifies the served model in metrics.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// Served name.
    pub model: String,
    /// Version folder.
    pub version: String,
    /// Revision; empty when not set.
    pub revision: String,
    /// Engine and its version.
    pub engine: String,
    /// Device.
    pub device: &'static str,
}

/// Values that are read when a scrape comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Requests in flight.
    pub in_flight: usize,
    /// Rows that wait for the engine.
    pub queued_rows: usize,
    /// Whether traffic should come here.
    pub ready: bool,
    /// Open connections.
    pub connections: usize,
}

/// Every metric of the process, with handles for the one model.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: [Counter; 17],
    /// From the first header to the answer.
    pub request_duration: Histogram,
    /// From the queue to the engine.
    pub queue_duration: Histogram,
    /// One run of the engine.
    pub execution_duration: Histogram,
    /// Rows of one run.
    pub batch_rows: Histogram,
    /// Failed batches whose requests were run again one by one.
    pub isolations: Counter,
    in_flight: Gauge,
    queued_rows: Gauge,
    ready: Gauge,
    connections: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Registers everything for the model `model`.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let mut registry = Registry::with_prefix("aimodel_serving");
        let requests = Family::<CodeLabels, Counter>::default();
        registry.register("requests", "Predictions by gRPC code", requests.clone());
        let requests = CODES.map(|code| {
            requests
                .get_or_create(&CodeLabels {
                    model: model.to_owned(),
                    code,
                })
                .clone()
        });
        let label = ModelLabel {
            model: model.to_owned(),
        };
        let mut seconds = |name: &str, help: &str| {
            let family =
                Family::<ModelLabel, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
            family.get_or_create(&label).clone()
        };
        let request_duration = seconds("request_duration", "Time from the headers to the answer");
        let queue_duration = seconds(
            "queue_duration",
            "Time that a request waited for the engine",
        );
        let execution_duration = seconds("execution_duration", "Time of one run of the engine");
        let rows = Family::<ModelLabel, Histogram>::new_with_constructor(|| Histogram::new(ROWS));
        registry.register("batch_rows", "Rows of one run of the engine", rows.clone());
        let isolations = Family::<ModelLabel, Counter>::default();
        registry.register(
            "batch_isolations",
            "Failed batches whose requests were run again one by one",
            isolations.clone(),
        );
        let mut gauge = |name: &str, help: &str| {
            let family = Family::<ModelLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            family.get_or_create(&label).clone()
        };
        let in_flight = gauge(
            "in_flight",
            "Predictions that were taken in and not yet answered",
        );
        let queued_rows = gauge("queued_rows", "Rows that wait for the engine");
        let ready = gauge("ready", "1 when traffic should come here");
        let connections = gauge("connections", "Open gRPC connections");
        Self {
            requests,
            request_duration,
            queue_duration,
            execution_duration,
            batch_rows: rows.get_or_create(&label).clone(),
            isolations: isolations.get_or_create(&label).clone(),
            in_flight,
            queued_rows,
            ready,
            connections,
            registry: Mutex::new(registry),
        }
    }

    /// Adds the constant line that says what is served.
    pub fn describe(&self, info: &ModelInfo) {
        let labels = vec![
            ("model", info.model.clone()),
            ("version", info.version.clone()),
            ("revision", info.revision.clone()),
            ("engine", info.engine.clone()),
            ("device", info.device.to_owned()),
        ];
        self.registry
            .lock()
            .register("model", "What is served", Info::new(labels));
    }

    /// Counts one answered prediction.
    pub fn answered(&self, code: Code, taken: Duration) {
        self.requests[code as usize].inc();
        self.request_duration.observe(taken.as_secs_f64());
    }

    /// The text of a scrape, in the format of `OpenMetrics`.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn text(&self, gauges: Gauges) -> Result<String, fmt::Error> {
        let signed = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.in_flight.set(signed(gauges.in_flight));
        self.queued_rows.set(signed(gauges.queued_rows));
        self.ready.set(i64::from(gauges.ready));
        self.connections.set(signed(gauges.connections));
        let mut text = String::new();
        encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}
