//! The process: wires sockets, engine thread, admin thread and signals, from start to drain.
//!
//! Called by `main`. The ports are open before the model is loaded, so that health can say so; the
//! engine thread makes the engine itself, because a session belongs to one thread.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use aimodel_wire::{InferError, ModelSignature};
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{
    batch::{Policy, Queue, QueueLimits},
    config::Config,
    cpu::{self, ThreadPlan},
    engine::{
        deliver::{self, Delivery},
        load::{LoadedEngine, load},
        worker::{Dead, Worker},
    },
    fatal::{self, Fatal, Reason},
    front::{
        accept::Port,
        admin,
        admit::Admission,
        connection_limits::ConnectionLimits,
        drain::{DrainTimes, Phase, drain},
        layer::{Front, Predictions},
        routes,
        service::Served,
        tasks,
    },
    metrics::ModelInfo,
    repository::{self, Found},
    shared::Shared,
};

/// Bytes of inputs that may wait for the engine.
const QUEUE_BYTES: usize = 64 << 20;
/// Full batches that may wait for the engine.
const QUEUE_BATCHES: usize = 4;

/// What the engine thread tells the supervisor.
struct Reports {
    loaded: oneshot::Sender<Result<Served, Fatal>>,
    ended: oneshot::Sender<Dead>,
    delivery: Delivery,
}

/// Serves until SIGTERM, drains and returns; an error is a fatal end.
///
/// # Errors
/// When there is nothing to serve, or the engine ended.
pub fn run(config: Config) -> Result<(), Fatal> {
    let found = repository::find(&config.models, config.engine)
        .map_err(|error| Fatal::new(Reason::ModelLoadFailed, error.to_string()))?;
    let plan = ThreadPlan::for_cpus(config.cpus.unwrap_or_else(cpu::available));
    let listener = |port| bind(&config, port);
    let (grpc, admin, health) = (
        listener(config.grpc_port)?,
        listener(config.admin_port)?,
        listener(config.health_port)?,
    );
    if let Ok(address) = admin.local_addr() {
        tracing::info!(%address, carries = "admin", "listening");
    }
    let runtime = runtime(plan).map_err(|error| broken("cannot start the runtime", &error))?;
    let shared = Arc::new(Shared::new(config, &found));
    fatal::watch_for_crashes(&shared.config.termination_log, &shared.describe());
    admin::start(admin, shared.clone())
        .map_err(|error| broken("cannot start the admin thread", &error))?;
    let result = runtime.block_on(async {
        shared.open(grpc, true)?;
        shared.open(health, false)?;
        let (reports, loaded, ended) = Reports::new();
        start_engine(shared.clone(), plan, found, reports)?;
        shared.supervise(loaded, ended).await
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

fn bind(config: &Config, port: u16) -> Result<TcpListener, Fatal> {
    let address = SocketAddr::new(config.bind, port);
    let listener = TcpListener::bind(address)
        .map_err(|error| broken(&format!("cannot listen on {address}"), &error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| broken("cannot set up a listener", &error))?;
    Ok(listener)
}

fn runtime(plan: ThreadPlan) -> io::Result<Runtime> {
    let mut builder = if plan.io == 1 {
        runtime::Builder::new_current_thread()
    } else {
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(plan.io);
        builder
    };
    builder.enable_all().thread_name("io").build()
}

fn broken(what: &str, error: &io::Error) -> Fatal {
    Fatal::new(Reason::ContainerCrashed, format!("{what}: {error}"))
}

impl Reports {
    /// The engine's end and the supervisor's; the task that hands out answers is started.
    fn new() -> (
        Self,
        oneshot::Receiver<Result<Served, Fatal>>,
        oneshot::Receiver<Dead>,
    ) {
        let (loaded, loaded_receiver) = oneshot::channel();
        let (ended, ended_receiver) = oneshot::channel();
        let (delivery, deliveries) = deliver::channel();
        drop(tasks::spawn(deliveries.run()));
        (
            Self {
                loaded,
                ended,
                delivery,
            },
            loaded_receiver,
            ended_receiver,
        )
    }
}

fn start_engine(
    shared: Arc<Shared>,
    plan: ThreadPlan,
    found: Found,
    reports: Reports,
) -> Result<(), Fatal> {
    let thread = thread::Builder::new().name("engine".to_owned());
    let run = move || run_engine(&shared, plan, &found, reports);
    thread
        .spawn(run)
        .map_err(|error| broken("cannot start the engine thread", &error))?;
    Ok(())
}

/// The engine thread: load, report, work, report the end.
fn run_engine(shared: &Shared, plan: ThreadPlan, found: &Found, reports: Reports) {
    let loaded = match load(&shared.config, plan.intra_op, &found.files) {
        Ok(loaded) => loaded,
        Err(fatal) => return drop(reports.loaded.send(Err(fatal))),
    };
    let worker = shared.worker(loaded, reports.delivery, reports.loaded);
    if let Err(dead) = worker.run() {
        shared.lifecycle.engine_died();
        drop(reports.ended.send(dead));
    }
}

impl Shared {
    /// Opens a gRPC port: with inference, or with health alone.
    fn open(&self, listener: TcpListener, with_inference: bool) -> Result<(), Fatal> {
        let failed = |error: &io::Error| broken("cannot open a port", error);
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let listener =
            tokio::net::TcpListener::from_std(listener).map_err(|error| failed(&error))?;
        let mut routes = vec![routes::health(&self.lifecycle, &self.identity.name)];
        let mut predictions = None;
        // Of its own, so that a crowd at the other port does not shut the kubelet out.
        let mut connections = self.health_connections.clone();
        if with_inference {
            connections = self.connections.clone();
            let inference = self.inference.clone();
            routes.push(routes::inference(inference.clone()));
            routes.extend(routes::reflection().map_err(|error| {
                Fatal::new(Reason::ContainerCrashed, format!("reflection: {error}"))
            })?);
            let admission = Admission {
                in_flight: self.in_flight.clone(),
                most: self.config.max_in_flight,
                metrics: self.metrics.clone(),
            };
            predictions = Some(Predictions {
                inference,
                admission,
            });
        }
        let carries = if with_inference {
            "inference"
        } else {
            "health"
        };
        tracing::info!(%address, carries, "listening");
        let config = &self.config;
        let port = Port {
            listener,
            service: Front::new(predictions, routes),
            limits: ConnectionLimits::new(
                config.connection_age,
                config.unread,
                cpu::memory_limit(),
                config.max_connections,
            ),
            connections,
            lifecycle: self.lifecycle.clone(),
        };
        drop(tasks::spawn(port.serve()));
        Ok(())
    }

    /// Makes queue and worker of a loaded engine, and reports what is served.
    fn worker(
        &self,
        loaded: LoadedEngine,
        delivery: Delivery,
        report: oneshot::Sender<Result<Served, Fatal>>,
    ) -> Worker {
        let signature: Arc<ModelSignature> = Arc::new(loaded.warmed.signature);
        let rows = signature.max_rows().map_or(1, std::num::NonZeroUsize::get);
        let policy = Policy {
            max_rows: rows,
            max_bytes: QUEUE_BYTES,
            max_delay: self.config.max_delay,
        };
        let limits = QueueLimits {
            rows: (QUEUE_BATCHES * rows).max(self.config.max_in_flight),
            size_bytes: QUEUE_BYTES,
        };
        let queue = Arc::new(Queue::new(policy, limits));
        self.metrics.describe(&ModelInfo {
            model: self.identity.name.clone(),
            version: self.identity.version.clone(),
            revision: self.config.revision.clone().unwrap_or_default(),
            engine: loaded.description,
            device: self.config.device.as_str(),
        });
        let served = Served::new(signature.clone(), queue.clone(), loaded.platform);
        drop(report.send(Ok(served)));
        Worker {
            engine: loaded.engine,
            signature,
            queue,
            delivery,
            metrics: self.metrics.clone(),
            heartbeat: self.heartbeat.clone(),
            probe: loaded.warmed.probe,
            failures: 0,
        }
    }

    /// From loading to the last connection.
    async fn supervise(
        &self,
        loaded: oneshot::Receiver<Result<Served, Fatal>>,
        mut ended: oneshot::Receiver<Dead>,
    ) -> Result<(), Fatal> {
        let failed = |error: io::Error| broken("cannot watch for signals", &error);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let served = tokio::select! {
            // Nothing was promised yet, so there is nothing to finish.
            () = either(&mut terminate, &mut interrupt) => return Ok(()),
            loaded = loaded => loaded.unwrap_or_else(|_| {
                Err(Fatal::new(Reason::ModelLoadFailed, "the engine panicked while it was loading"))
            })?,
        };
        let signature = &served.signature;
        tracing::info!(model = self.describe(), ?signature, "ready");
        self.inference.serve(served);
        self.lifecycle.advance(Phase::Serving);
        let mut times = DrainTimes {
            accept: self.config.drain,
            grace: self.config.grace,
        };
        let dead = tokio::select! {
            () = either(&mut terminate, &mut interrupt) => None,
            dead = &mut ended => {
                times.accept = Duration::ZERO;
                dead.ok()
            }
        };
        tracing::info!(dead = dead.is_some(), "draining");
        let clean = drain(&self.lifecycle, &self.connections, times, || {
            self.fail_queued();
        })
        .await;
        // Watches of health end by themselves; a peer that stays does not hold up the end.
        let watches = self.health_connections.all_closed();
        let _ = tokio::time::timeout(Duration::from_secs(1), watches).await;
        tracing::info!(clean, "drained");
        match dead.or_else(|| ended.try_recv().ok()) {
            Some(Dead(why)) => Err(Fatal::new(
                Reason::ModelCrashed,
                format!("{}: {why}", self.describe()),
            )),
            None => Ok(()),
        }
    }

    fn fail_queued(&self) {
        let Some(served) = self.inference.served() else {
            return;
        };
        for job in served.queue.close() {
            let why = "the process is stopping; ask another replica";
            job.answer(Err(InferError::Unavailable(why.to_owned())));
        }
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
