//! What is counted, and the text that a scrape gets.
//!
//! Handles are resolved once, when the model is loaded: a request touches atomics and never looks
//! up a label. Gauges are read from their source at the scrape. Written by `front::admit` and the
//! engine threads, read by `front::admin`.

mod usage;

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use tonic::Code;
use usage::Usage;

/// Before the name of every metric of the model; those of the process are named as everywhere.
const PREFIX: &str = "aimodel_serving";

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
    /// Registers everything for the model `model`, and what the process uses.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Usage));
        let mut of = ModelMetrics {
            registry: registry.sub_registry_with_prefix(PREFIX),
            model,
        };
        Self {
            requests: of.counters_by_code("requests", "Predictions by gRPC code"),
            request_duration: of.seconds("request_duration", "Time from the headers to the answer"),
            queue_duration: of.seconds(
                "queue_duration",
                "Time that a request waited for the engine",
            ),
            execution_duration: of.seconds("execution_duration", "Time of one run of the engine"),
            batch_rows: of.rows("batch_rows", "Rows of one run of the engine"),
            isolations: of.counter(
                "batch_isolations",
                "Failed batches whose requests were run again one by one",
            ),
            in_flight: of.gauge(
                "in_flight",
                "Predictions that were taken in and not yet answered",
            ),
            queued_rows: of.gauge("queued_rows", "Rows that wait for the engine"),
            ready: of.gauge("ready", "1 when traffic should come here"),
            connections: of.gauge("connections", "Open gRPC connections"),
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
            .sub_registry_with_prefix(PREFIX)
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

/// Registers metrics of one model by their kind and resolves their handles.
struct ModelMetrics<'a> {
    registry: &'a mut Registry,
    model: &'a str,
}

impl ModelMetrics<'_> {
    fn label(&self) -> ModelLabel {
        ModelLabel {
            model: self.model.to_owned(),
        }
    }

    fn counters_by_code(&mut self, name: &str, help: &str) -> [Counter; 17] {
        let family = Family::<CodeLabels, Counter>::default();
        self.registry.register(name, help, family.clone());
        CODES.map(|code| {
            let model = self.model.to_owned();
            family.get_or_create(&CodeLabels { model, code }).clone()
        })
    }

    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let family = Family::<ModelLabel, Counter>::default();
        self.registry.register(name, help, family.clone());
        family.get_or_create(&self.label()).clone()
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let family = Family::<ModelLabel, Gauge>::default();
        self.registry.register(name, help, family.clone());
        family.get_or_create(&self.label()).clone()
    }

    fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let family =
            Family::<ModelLabel, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        self.registry
            .register_with_unit(name, help, Unit::Seconds, family.clone());
        family.get_or_create(&self.label()).clone()
    }

    fn rows(&mut self, name: &str, help: &str) -> Histogram {
        let family = Family::<ModelLabel, Histogram>::new_with_constructor(|| Histogram::new(ROWS));
        self.registry.register(name, help, family.clone());
        family.get_or_create(&self.label()).clone()
    }
}
