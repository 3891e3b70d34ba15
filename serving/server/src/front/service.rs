//! `inference.GRPCInferenceService`: thin methods between protobuf messages and the batcher.
//!
//! Called by `layer` for predictions and by tonic's generated server for the rest. A prediction is
//! `decode` → `batch` → wait → `encode`; nothing here blocks or copies tensor data.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use aimodel_wire::{
    InferError, ModelSignature, Tensor, limits,
    oip::{self, ModelIdentity, Work, metadata},
    proto::{
        ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
        ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
        ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
        ServerReadyRequest, ServerReadyResponse,
        grpc_inference_service_server::GrpcInferenceService,
    },
};
use http::HeaderValue;
use tonic::{Request, Response, Status};

use super::drain::Lifecycle;
use crate::{
    batch::{Job, Queue},
    config::Device,
};

/// A model that answers.
#[derive(Debug)]
pub struct Served {
    /// What it takes and gives.
    pub signature: Arc<ModelSignature>,
    /// Where its work goes.
    pub queue: Arc<Queue>,
    /// The engine, in the protocol's words.
    pub platform: &'static str,
    /// Bytes of a request at most.
    pub message_limit: usize,
}

impl Served {
    /// A model with this signature.
    #[must_use]
    pub fn new(signature: Arc<ModelSignature>, queue: Arc<Queue>, platform: &'static str) -> Self {
        let message_limit = limits::message_bytes(&signature);
        Self {
            signature,
            queue,
            platform,
            message_limit,
        }
    }
}

/// The service; its model comes when it is loaded.
#[derive(Debug)]
pub struct Inference {
    identity: ModelIdentity,
    lifecycle: Lifecycle,
    revision: Option<HeaderValue>,
    longest: Duration,
    device: Device,
    served: OnceLock<Served>,
}

impl Inference {
    /// A service for the model `identity`, which runs on `device`; no request takes longer than
    /// `longest`.
    #[must_use]
    pub fn new(
        identity: ModelIdentity,
        lifecycle: Lifecycle,
        revision: Option<&str>,
        longest: Duration,
        device: Device,
    ) -> Self {
        let revision = revision.and_then(|revision| revision.parse().ok());
        Self {
            identity,
            lifecycle,
            revision,
            longest,
            device,
            served: OnceLock::new(),
        }
    }

    /// Puts the loaded model in place; a second one is ignored.
    pub fn serve(&self, served: Served) {
        drop(self.served.set(served));
    }

    /// The model, once it is loaded.
    #[must_use]
    pub fn served(&self) -> Option<&Served> {
        self.served.get()
    }

    /// The revision, as a header.
    #[must_use]
    pub fn revision(&self) -> Option<&HeaderValue> {
        self.revision.as_ref()
    }

    /// The longest time a request may take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Answers one prediction before `deadline`.
    ///
    /// # Errors
    /// With the status that the client gets.
    pub async fn predict(
        &self,
        request: ModelInferRequest,
        arrived: Instant,
        deadline: Instant,
    ) -> Result<ModelInferResponse, InferError> {
        let served = self.find(&request.model_name, &request.model_version)?;
        let (work, reply) = oip::decode(request, &served.signature)?;
        let outputs = if work.rows() == 0 {
            empty(&work, &served.signature)?
        } else {
            run(&served.queue, work, arrived, deadline).await?
        };
        oip::encode(&self.identity, reply, outputs)
    }

    fn is_ours(&self, name: &str, version: &str) -> bool {
        name == self.identity.name && (version.is_empty() || version == self.identity.version)
    }

    fn find(&self, name: &str, version: &str) -> Result<&Served, InferError> {
        if !self.is_ours(name, version) {
            return Err(InferError::ModelNotFound(format!(
                "no model '{}' of version '{}'; here is '{}' of version '{}'",
                shorten(name),
                shorten(version),
                self.identity.name,
                self.identity.version,
            )));
        }
        if self.lifecycle.state().dead {
            return Err(unavailable("its engine ended; ask another replica"));
        }
        self.served
            .get()
            .ok_or_else(|| unavailable("it is being loaded"))
    }
}

fn unavailable(why: &str) -> InferError {
    InferError::Unavailable(format!("the model cannot answer: {why}"))
}

fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

async fn run(
    queue: &Queue,
    work: Work,
    arrived: Instant,
    deadline: Instant,
) -> Result<Vec<Tensor>, InferError> {
    let (job, answer) = Job::new(work, arrived, deadline);
    queue
        .push(job)
        .map_err(|refused| refused.into_error(queue.retry_after()))?;
    // A job that is dropped unanswered belonged to a queue that went away.
    answer
        .await
        .map_err(|_| unavailable("the process is stopping"))?
}

/// The answer to a request of zero rows, which no engine needs to see.
fn empty(work: &Work, signature: &ModelSignature) -> Result<Vec<Tensor>, InferError> {
    let all = signature
        .empty_outputs()
        .map_err(|error| InferError::Internal(error.to_string()))?;
    Ok(work
        .outputs()
        .iter()
        .filter_map(|&index| all.get(index).cloned())
        .collect())
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse {
            live: self.lifecycle.state().is_live(),
        }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse {
            ready: self.lifecycle.state().is_ready(),
        }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        // As Triton has it: a model that is not here is not ready, and asking is no error.
        let ready = self.is_ours(&name, &version) && self.lifecycle.state().is_ready();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let device = format!("device:{}", self.device.as_str());
        let extensions = ["model_configuration", &device];
        let answer = metadata::server("aimodel-serving", env!("CARGO_PKG_VERSION"), &extensions);
        Ok(Response::new(answer))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let served = self.find(&name, &version)?;
        let answer = metadata::model(&self.identity, served.platform, &served.signature);
        Ok(Response::new(answer))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let served = self.find(&name, &version)?;
        let answer = metadata::config(&self.identity, served.platform, &served.signature);
        Ok(Response::new(answer))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let now = Instant::now();
        let answer = self
            .predict(request.into_inner(), now, now + self.longest)
            .await?;
        Ok(Response::new(answer))
    }
}
