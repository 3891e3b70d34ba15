//! The body of an answer: one message and its trailers, or what another service gives.
//!
//! Made by `layer`, read by hyper. It holds the guard of its prediction, which is in flight until
//! its body was handed to HTTP/2.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use hyper::body::{Frame, SizeHint};
use tonic::{Status, body::Body};

/// An answer's body; a prediction is in flight until its body was handed to HTTP/2.
pub struct CountedBody<G> {
    content: Content,
    _guard: Option<G>,
}

enum Content {
    /// One message, then its trailers.
    Message(Bytes),
    /// The trailers of success.
    Trailers,
    /// Whatever another service gives.
    Other(Body),
    /// Nothing more.
    End,
}

impl<G> CountedBody<G> {
    /// The body of an answer that is not counted.
    pub(super) fn free(body: Body) -> Self {
        Self {
            content: Content::Other(body),
            _guard: None,
        }
    }

    /// One message and the trailers of success.
    pub(super) fn framed(message: Bytes) -> Self {
        Self {
            content: Content::Message(message),
            _guard: None,
        }
    }

    /// Keeps `guard` until the body was handed over.
    pub(super) fn counted(self, guard: G) -> Self {
        Self {
            _guard: Some(guard),
            ..self
        }
    }
}

impl<G> fmt::Debug for CountedBody<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedBody").finish_non_exhaustive()
    }
}

impl<G: Unpin> hyper::body::Body for CountedBody<G> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Content::Other(body) = &mut self.content {
            return Pin::new(body).poll_frame(context);
        }
        let frame = match std::mem::replace(&mut self.content, Content::End) {
            Content::Message(message) => {
                self.content = Content::Trailers;
                Frame::data(message)
            }
            Content::Trailers => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                Frame::trailers(trailers)
            }
            _ => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Other(body) => body.is_end_stream(),
            Content::End => true,
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Other(body) => body.size_hint(),
            Content::Message(message) => SizeHint::with_exact(message.len() as u64),
            _ => SizeHint::with_exact(0),
        }
    }
}
