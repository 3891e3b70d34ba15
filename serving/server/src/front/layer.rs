//! The layer around every request of a gRPC port: routes by path, and guards predictions.
//!
//! Called by hyper with the headers of each request. A prediction has to be admitted before any of
//! its body is read; it gets a deadline, cannot panic the connection and is counted by code.

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
    admit::{Admission, Admitted},
    body::CountedBody,
    deadline, message,
    service::Inference,
    unsent::Unsent,
};
use crate::engine::worker::panic_text;

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
    /// What may be in flight.
    pub admission: Admission,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("predictions", &self.predictions)
            .finish_non_exhaustive()
    }
}

type Answer = Response<CountedBody<Admitted>>;

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
                match predictions.admit(&self.unsent) {
                    Ok(admitted) => {
                        let inference = predictions.inference.clone();
                        Box::pin(predict(inference, admitted, request))
                    }
                    Err(error) => Box::pin(std::future::ready(Ok(failed(error).1))),
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

impl Predictions {
    fn admit(&self, unsent: &Arc<Unsent>) -> Result<Admitted, InferError> {
        self.admission.admit(Instant::now(), unsent, || {
            let served = self.inference.served();
            served.map_or(LOADING, |served| served.queue.retry_after())
        })
    }
}

fn failed(error: InferError) -> (Code, Answer) {
    let status = Status::from(error);
    let code = status.code();
    (code, status.into_http::<Body>().map(CountedBody::free))
}

async fn predict(
    inference: Arc<Inference>,
    mut admitted: Admitted,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let (code, response) = match answer(&inference, admitted.arrived(), request).await {
        Ok(response) => (Code::Ok, response),
        Err(error) => failed(error),
    };
    admitted.answered(code);
    Ok(response.map(|body| body.counted(admitted)))
}

async fn answer(
    inference: &Inference,
    arrived: Instant,
    request: Request<Incoming>,
) -> Result<Answer, InferError> {
    let (parts, mut body) = request.into_parts();
    let longest = inference.longest();
    let timeout = deadline::timeout(&parts.headers)?.map_or(longest, |own| own.min(longest));
    let deadline = arrived + timeout;
    let limit = inference
        .served()
        .map_or(UNLOADED_LIMIT, |served| served.message_limit);
    let received = AtomicBool::new(false);
    let exchange = async {
        let message = message::receive(&parts.headers, &mut body, limit).await?;
        received.store(true, Ordering::Relaxed);
        inference.predict(message, arrived, deadline).await
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
