//! The front of a gRPC port: routes by path, and guards predictions.
//!
//! Called by the accept loop with the headers of each request. A prediction passes the gate before
//! any of its body is read, gets a deadline, cannot panic the connection and is counted by code.
//! The gate refuses and never waits: waiting would deadlock with HTTP/2's flow control.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use aimodel_wire::{
    InferError,
    proto::{ModelInferRequest, ModelInferResponse},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::Service,
};
use tonic::{
    Code, Status,
    body::Body,
    codec::CompressionEncoding,
    server::{Grpc, UnaryService},
};
use tower::{Service as _, util::BoxCloneSyncService};

use super::{codec::InferCodec, deadline, load::Load, service::Inference};
use crate::{engine::worker::panic_text, metrics::Metrics};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Bytes of an answer at most.
const ANSWER_LIMIT: usize = 64 << 20;
/// When to try again while the model is being loaded.
const LOADING: Duration = Duration::from_secs(1);

/// A gRPC service by the prefix of its paths.
pub type Route = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What answers on a gRPC port.
#[derive(Clone, Debug)]
pub struct Front(Arc<Parts>);

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

type Answer = Response<CountedBody>;

impl Service<Request<Incoming>> for Front {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let parts = self.0.clone();
        match &parts.predictions {
            Some(predictions) if request.uri().path() == INFER => {
                let arrived = Instant::now();
                match InFlight::enter(predictions, arrived) {
                    Some(guard) => Box::pin(predict(guard, request)),
                    None => Box::pin(std::future::ready(Ok(refuse(predictions, arrived)))),
                }
            }
            _ => Box::pin(async move { Ok(parts.route(request).await.map(CountedBody::free)) }),
        }
    }
}

impl Front {
    /// A front of these services; `predictions` is left out on the port that has health alone.
    #[must_use]
    pub fn new(predictions: Option<Predictions>, routes: Vec<(&'static str, Route)>) -> Self {
        Self(Arc::new(Parts {
            predictions,
            routes,
        }))
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
        match no_panic(route.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(impossible)) => match impossible {},
            Err(status) => status.into_http(),
        }
    }
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
struct InFlight {
    predictions: Predictions,
    arrived: Instant,
    code: Option<Code>,
}

impl InFlight {
    fn enter(predictions: &Predictions, arrived: Instant) -> Option<Self> {
        let entered = predictions.load.try_enter(predictions.most);
        entered.then(|| Self {
            predictions: predictions.clone(),
            arrived,
            code: None,
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
    let response = match guarded(&guard, request).await {
        Ok(response) => response,
        Err(status) => status.into_http(),
    };
    guard.code = Some(code_of(response.headers()));
    Ok(response.map(|body| CountedBody {
        body,
        _guard: Some(guard),
    }))
}

async fn guarded(guard: &InFlight, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let inference = &guard.predictions.inference;
    if !is_grpc(request.headers()) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Ok(response);
    }
    let longest = inference.longest();
    let timeout = deadline::timeout(request.headers())?.map_or(longest, |own| own.min(longest));
    let handler = Handler {
        inference,
        arrived: guard.arrived,
        deadline: guard.arrived + timeout,
    };
    let limit = inference
        .served()
        .map_or(1 << 20, |served| served.message_limit);
    let mut grpc = Grpc::new(InferCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(ANSWER_LIMIT);
    let answer = no_panic(grpc.unary(handler, request));
    let response = match tokio::time::timeout_at(handler.deadline.into(), answer).await {
        Ok(response) => response?,
        Err(_) => return Err(InferError::DeadlineExceeded { executed: true }.into()),
    };
    // tonic's word for a message above the limit; nothing else here says OUT_OF_RANGE.
    if code_of(response.headers()) == Code::OutOfRange {
        return Err(InferError::MessageTooLarge { limit_bytes: limit }.into());
    }
    Ok(response)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The code in the headers; an answer without one is followed by OK in its trailers.
fn code_of(headers: &HeaderMap) -> Code {
    headers
        .get(Status::GRPC_STATUS)
        .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

#[derive(Clone, Copy)]
struct Handler<'a> {
    inference: &'a Inference,
    arrived: Instant,
    deadline: Instant,
}

impl<'a> UnaryService<ModelInferRequest> for Handler<'a> {
    type Response = ModelInferResponse;
    type Future = Pin<
        Box<dyn Future<Output = Result<tonic::Response<ModelInferResponse>, Status>> + Send + 'a>,
    >;

    fn call(&mut self, request: tonic::Request<ModelInferRequest>) -> Self::Future {
        let Self {
            inference,
            arrived,
            deadline,
        } = *self;
        Box::pin(async move {
            Ok(inference
                .predict(request.into_inner(), arrived, deadline)
                .await?)
        })
    }
}

/// The output of `future`; a panic in it becomes INTERNAL.
async fn no_panic<F: Future>(future: F) -> Result<F::Output, Status> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        poll.map_or_else(
            |panic| {
                tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked");
                let error = InferError::Internal("a handler of this server panicked".to_owned());
                Poll::Ready(Err(error.into()))
            },
            |poll| poll.map(Ok),
        )
    })
    .await
}

/// An answer's body; a prediction is in flight until its body was handed to HTTP/2.
pub struct CountedBody {
    body: Body,
    _guard: Option<InFlight>,
}

impl CountedBody {
    fn free(body: Body) -> Self {
        Self { body, _guard: None }
    }
}

impl fmt::Debug for CountedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedBody").finish_non_exhaustive()
    }
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
