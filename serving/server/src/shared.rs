//! What the threads of the process share, and what the admin port shows of it.
//!
//! Made by `process`; read by the io, engine and admin threads.

use std::{fs, sync::Arc};

use aimodel_wire::oip::ModelIdentity;

use crate::{
    config::Config,
    engine::worker::Heartbeat,
    front::{
        admin,
        drain::{Connections, Lifecycle, Phase},
        in_flight::{InFlight, Reading},
        service::Inference,
    },
    metrics::{Gauges, Metrics},
    repository::Found,
};

/// Connections to the port that has health alone.
const HEALTH_CONNECTIONS: usize = 64;

/// What the threads of the process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: ModelIdentity,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) connections: Connections,
    pub(crate) health_connections: Connections,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) inference: Arc<Inference>,
    pub(crate) boot_id: String,
}

impl Shared {
    /// The state of a process that is about to load `found`.
    pub(crate) fn new(config: Config, found: &Found) -> Self {
        let name = config
            .model_name
            .clone()
            .unwrap_or_else(|| found.name.clone());
        let identity = ModelIdentity {
            name,
            version: found.version.clone(),
        };
        let lifecycle = Lifecycle::default();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/uuid");
        Self {
            metrics: Arc::new(Metrics::new(&identity.name)),
            inference: Arc::new(Inference::new(
                identity.clone(),
                lifecycle.clone(),
                config.revision.as_deref(),
                config.timeout,
                config.device,
            )),
            connections: Connections::new(config.max_connections),
            health_connections: Connections::new(HEALTH_CONNECTIONS),
            in_flight: Arc::default(),
            heartbeat: Arc::default(),
            boot_id: boot_id.unwrap_or_default().trim().to_owned(),
            identity,
            lifecycle,
            config,
        }
    }

    /// What runs here, in words.
    pub(crate) fn describe(&self) -> String {
        let ModelIdentity { name, version } = &self.identity;
        let revision = self.config.revision.as_deref().unwrap_or("none");
        format!("model '{name}' of version '{version}', revision '{revision}'")
    }
}

impl admin::Source for Shared {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            in_flight: self.in_flight.read().in_flight,
            queued_rows: self
                .inference
                .served()
                .map_or(0, |served| served.queue.rows()),
            ready: self.lifecycle.state().is_ready(),
            connections: self.connections.open(),
        }
    }

    fn liveness(&self) -> Result<(), &'static str> {
        if self.lifecycle.state().is_live() {
            Ok(())
        } else {
            Err("a batch runs for too long")
        }
    }

    fn readiness(&self) -> Result<(), &'static str> {
        let state = self.lifecycle.state();
        match state.phase {
            Phase::Loading => Err("the model is being loaded"),
            Phase::Serving if state.dead => Err("the engine ended"),
            Phase::Serving => Ok(()),
            _ => Err("draining"),
        }
    }

    fn in_flight(&self) -> Reading {
        self.in_flight.read()
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }

    fn watch(&self) {
        self.lifecycle
            .set_stuck(self.heartbeat.running_for() > self.config.stuck_after);
    }
}
