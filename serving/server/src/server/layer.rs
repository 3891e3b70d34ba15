//! The front of a gRPC port: routes by path, and guards predictions.
//!
//! Called by the accept loop with the headers of each request. A prediction passes the gate before
//! any of its body is read, gets a deadline, cannot panic the connection and is counted by code.
//! The gate refuses and never waits: waiting would deadlock with HTTP/2's flow control.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use aimodel_wire::{EngineFailure, InferError};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::Service};
use tokio::time::timeout_at;
use tonic::{Code, Status, body::Body};
use tower::{Service as _, util::BoxCloneSyncService};

use super::{
    accept::PerConnection,
    body::CountedBody,
    deadline,
    load::Load,
    message,
    service::Inference,
    unsent::{Ticket, Unsent},
};
use crate::{engine::worker::panic_text, metrics::Metrics};

/// Names the revision in every prediction.
const REVISION: &str = "x-aimodel-revision";
/// Bytes of a request at most before the model said what it takes.
const UNLOADED_LIMIT: usize = 1 << 20;
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Bytes of an answer at most.
const ANSWER_LIMIT: usize = 64 << 20;
/// When to try again while the model is being loaded.
const LOADING: Duration = Duration::from_secs(1);

/// A gRPC service by the prefix of its paths.
pub type Route = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What answers on a gRPC port.
#[derive(Clone, Debug)]
pub struct Front {
    parts: Arc<Parts>,
    unsent: Arc<Unsent>,
}

struct Parts {
    predictions: Option<Predictions>,
    routes: Vec<(&'static str, Route)>,
}

/// What a prediction needs.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// The service.
    pub inference: Arc<Inference>,
    /// Requests in flight.
    pub load: Arc<Load>,
    /// Requests in flight at most.
    pub most: usize,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("predictions", &self.predictions)
            .finish_non_exhaustive()
    }
}

type Answer = Response<CountedBody<InFlight>>;

impl Service<Request<Incoming>> for Front {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let parts = self.parts.clone();
        match &parts.predictions {
            Some(predictions) if request.uri().path() == INFER => {
                if !is_grpc(request.headers()) {
                    return Box::pin(std::future::ready(Ok(unsupported())));
                }
                let arrived = Instant::now();
                match InFlight::enter(predictions, arrived, &self.unsent) {
                    Some(guard) => Box::pin(predict(guard, request)),
                    None => Box::pin(std::future::ready(Ok(refuse(predictions, arrived)))),
                }
            }
            _ => Box::pin(async move { Ok(parts.route(request).await.map(CountedBody::free)) }),
        }
    }
}

impl PerConnection for Front {
    fn for_connection(&self, unsent: Arc<Unsent>) -> Self {
        Self {
            parts: self.parts.clone(),
            unsent,
        }
    }
}

impl Front {
    /// A front of these services; `predictions` is left out on the port that has health alone.
    #[must_use]
    pub fn new(predictions: Option<Predictions>, routes: Vec<(&'static str, Route)>) -> Self {
        Self {
            parts: Arc::new(Parts {
                predictions,
                routes,
            }),
            unsent: Arc::default(),
        }
    }
}

impl Parts {
    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let route = self
            .routes
            .iter()
            .find(|(prefix, _)| path.starts_with(prefix));
        let Some((_, route)) = route else {
            return Status::unimplemented("no such method here").into_http();
        };
        let mut route = route.clone();
        let mut answer = pin!(route.call(request));
        let caught = poll_fn(|context| {
            no_panic(|| {
                answer
                    .as_mut()
                    .poll(context)
                    .map(|answer| Ok(answer.unwrap_or_else(never)))
            })
        });
        caught
            .await
            .unwrap_or_else(|error| Status::from(error).into_http())
    }
}

fn never(impossible: Infallible) -> Response<Body> {
    match impossible {}
}

fn refuse(predictions: &Predictions, arrived: Instant) -> Answer {
    let served = predictions.inference.served();
    let retry_after = served.map_or(LOADING, |served| served.queue.retry_after());
    let error = InferError::Overloaded {
        what: "the server",
        retry_after,
    };
    predictions
        .metrics
        .answered(Code::ResourceExhausted, arrived.elapsed());
    Status::from(error)
        .into_http::<Body>()
        .map(CountedBody::free)
}

/// A prediction that was taken in; leaving counts it, also when the client went away.
#[derive(Debug)]
pub struct InFlight {
    predictions: Predictions,
    arrived: Instant,
    code: Option<Code>,
    _ticket: Ticket,
}

impl InFlight {
    fn enter(predictions: &Predictions, arrived: Instant, unsent: &Arc<Unsent>) -> Option<Self> {
        let entered = predictions.load.try_enter(predictions.most);
        entered.then(|| Self {
            predictions: predictions.clone(),
            arrived,
            code: None,
            _ticket: unsent.enter(),
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.predictions.load.leave();
        let code = self.code.unwrap_or(Code::Cancelled);
        self.predictions
            .metrics
            .answered(code, self.arrived.elapsed());
    }
}

async fn predict(mut guard: InFlight, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let response = match answer(&guard, request).await {
        Ok(response) => {
            guard.code = Some(Code::Ok);
            response
        }
        Err(error) => {
            let status = Status::from(error);
            guard.code = Some(status.code());
            status.into_http::<Body>().map(CountedBody::free)
        }
    };
    Ok(response.map(|body| body.counted(guard)))
}

async fn answer(guard: &InFlight, request: Request<Incoming>) -> Result<Answer, InferError> {
    let inference = &guard.predictions.inference;
    let (parts, mut body) = request.into_parts();
    let longest = inference.longest();
    let timeout = deadline::timeout(&parts.headers)?.map_or(longest, |own| own.min(longest));
    let deadline = guard.arrived + timeout;
    let limit = inference
        .served()
        .map_or(UNLOADED_LIMIT, |served| served.message_limit);
    let received = AtomicBool::new(false);
    let exchange = async {
        let message = message::receive(&parts.headers, &mut body, limit).await?;
        received.store(true, Ordering::Relaxed);
        inference.predict(message, guard.arrived, deadline).await
    };
    let mut exchange = pin!(exchange);
    let caught = poll_fn(|context| no_panic(|| exchange.as_mut().poll(context)));
    let Ok(answer) = timeout_at(deadline.into(), caught).await else {
        let executed = received.load(Ordering::Relaxed);
        return Err(InferError::DeadlineExceeded { executed });
    };
    let framed = message::frame(&answer?)?;
    if framed.len() > ANSWER_LIMIT {
        return Err(too_large_answer());
    }
    let mut response = Response::new(CountedBody::framed(framed));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    if let Some(revision) = inference.revision() {
        headers.insert(REVISION, revision.clone());
    }
    Ok(response)
}

fn too_large_answer() -> InferError {
    let message = format!("the answer is larger than {ANSWER_LIMIT} bytes; send fewer rows");
    InferError::engine(EngineFailure::ResourceExhausted, &message)
}

fn unsupported() -> Answer {
    let mut response = Response::new(CountedBody::free(Body::empty()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let after = kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    // application/grpc-web is another protocol.
    after.is_some_and(|after| matches!(after.first(), None | Some(b'+' | b';')))
}

/// Polls through `poll`; a panic in it becomes INTERNAL.
fn no_panic<T>(poll: impl FnOnce() -> Poll<Result<T, InferError>>) -> Poll<Result<T, InferError>> {
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
        tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked");
        Poll::Ready(Err(InferError::Internal(
            "a handler of this server panicked".to_owned(),
        )))
    })
}
