//! `grpc.health.v1`: which names serve, now and as they change.
//!
//! Answers the kubelet, load balancers and clients, on the inference port and alone on its own.
//! It reads [`State`] and nothing else; a failed request never changes health.

use std::pin::Pin;

use tonic::{
    Request, Response, Status,
    codegen::tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

use super::drain::{Lifecycle, Phase, State};

/// The name that the kubelet's liveness probe asks for.
const LIVENESS: &str = "liveness";
/// The name of the inference service.
const INFERENCE: &str = "inference.GRPCInferenceService";

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Live,
    Ready,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Health {
    lifecycle: Lifecycle,
    model: String,
}

impl Health {
    /// Health of a process that serves `model`.
    #[must_use]
    pub fn new(lifecycle: Lifecycle, model: &str) -> Self {
        Self {
            lifecycle,
            model: model.to_owned(),
        }
    }

    fn meaning(&self, name: &str) -> Option<Meaning> {
        match name {
            LIVENESS => Some(Meaning::Live),
            "" | INFERENCE => Some(Meaning::Ready),
            _ if name == self.model => Some(Meaning::Ready),
            _ => None,
        }
    }
}

fn status(meaning: Option<Meaning>, state: State) -> ServingStatus {
    let good = match meaning {
        None => return ServingStatus::ServiceUnknown,
        Some(Meaning::Live) => state.is_live(),
        Some(Meaning::Ready) => state.is_ready(),
    };
    if good {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        let meaning = self.meaning(&name);
        if meaning.is_none() {
            return Err(Status::not_found(format!("no service '{name}' here")));
        }
        let status = status(meaning, self.lifecycle.state());
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let meaning = self.meaning(&request.into_inner().service);
        let mut last = None;
        // A watch that went on would keep its connection open and hold up the drain.
        let states = WatchStream::new(self.lifecycle.subscribe())
            .take_while(|state| state.phase < Phase::Closing);
        let changes = states.filter_map(move |state| {
            let now = status(meaning, state);
            let changed = last.replace(now) != Some(now);
            changed.then(|| Ok(HealthCheckResponse { status: now.into() }))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

#[cfg(test)]
mod tests {
    use health_server::Health as _;

    use super::*;

    fn request(name: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest {
            service: name.to_owned(),
        })
    }

    #[tokio::test]
    async fn names_and_states() {
        let lifecycle = Lifecycle::default();
        let health = Health::new(lifecycle.clone(), "mnist");
        let check = async |name: &str| {
            health
                .check(request(name))
                .await
                .map(|answer| answer.into_inner().status())
        };
        assert_eq!(check("").await.unwrap(), ServingStatus::NotServing);
        assert_eq!(check("liveness").await.unwrap(), ServingStatus::Serving);
        lifecycle.advance(Phase::Serving);
        for name in ["", "mnist", "inference.GRPCInferenceService", "liveness"] {
            assert_eq!(check(name).await.unwrap(), ServingStatus::Serving, "{name}");
        }
        assert_eq!(
            check("other").await.unwrap_err().code(),
            tonic::Code::NotFound
        );
        lifecycle.set_stuck(true);
        assert_eq!(check("liveness").await.unwrap(), ServingStatus::NotServing);
        lifecycle.advance(Phase::Draining);
        assert_eq!(check("mnist").await.unwrap(), ServingStatus::NotServing);
    }

    #[tokio::test]
    async fn a_watch_tells_changes_and_ends_with_the_process() {
        let lifecycle = Lifecycle::default();
        let health = Health::new(lifecycle.clone(), "mnist");
        let mut watch = health.watch(request("mnist")).await.unwrap().into_inner();
        let mut next = async || watch.next().await.map(|answer| answer.unwrap().status());
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        lifecycle.advance(Phase::Serving);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        lifecycle.set_stuck(true);
        lifecycle.advance(Phase::Draining);
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        lifecycle.advance(Phase::Closing);
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn an_unknown_name_is_watched_as_unknown() {
        let health = Health::new(Lifecycle::default(), "mnist");
        let mut watch = health.watch(request("other")).await.unwrap().into_inner();
        let first = watch.next().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    }
}
