//! The accept loop: turns a listener into HTTP/2 connections with every limit set.
//!
//! Started by `process` once per gRPC port. Each connection is one task that holds one permit of
//! [`Connections`]. A peer past the cap is told to go away, and never waited for.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    service::Service,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};

use super::{
    connection::{Counted, Timed},
    connection_limits::ConnectionLimits,
    drain::{Connections, Lifecycle, Phase},
    tasks,
    unsent::Unsent,
};

/// Connections past the cap that may be told so at the same time; more are just closed.
const POLITE_REFUSALS: usize = 64;

/// A service that keeps something of each connection.
pub trait PerConnection {
    /// The service for a connection that counts its unsent answers there.
    #[must_use]
    fn for_connection(&self, unsent: Arc<Unsent>) -> Self;
}

/// One port: its listener, what answers on it and what it may use.
pub struct Port<S> {
    /// Where connections come from.
    pub listener: TcpListener,
    /// Answers every request.
    pub service: S,
    /// What a connection may use.
    pub limits: ConnectionLimits,
    /// All connections of the process.
    pub connections: Connections,
    /// The life of the process.
    pub lifecycle: Lifecycle,
}

impl<S, B> Port<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + PerConnection
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    /// Accepts until the process closes; then the listener is dropped.
    pub async fn serve(self) {
        let Self {
            listener,
            service,
            limits,
            connections,
            lifecycle,
        } = self;
        let (builder, refusing) = (limits.builder(), limits.refusing_builder());
        let refusals = Arc::new(Semaphore::new(POLITE_REFUSALS));
        let mut closing = pin!(lifecycle.reached(Phase::Closing));
        loop {
            let stream = tokio::select! {
                () = &mut closing => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        // Out of file descriptors: wait for some to come back.
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (permit, refused) = match connections.permits().clone().try_acquire_owned() {
                Ok(permit) => (permit, false),
                Err(_) => match refusals.clone().try_acquire_owned() {
                    Ok(permit) => (permit, true),
                    Err(_) => continue,
                },
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "connection gone before it was served");
                continue;
            }
            let (read, unsent) = (Arc::<AtomicUsize>::default(), Arc::<Unsent>::default());
            let io = TokioIo::new(Counted {
                stream,
                read: read.clone(),
            });
            let connection = Timed {
                connection: if refused { &refusing } else { &builder }
                    .serve_connection(io, service.for_connection(unsent.clone())),
                read,
                unsent,
                unread_limit: limits.unread,
                age: limits.own_age().filter(|_| !refused),
                refused,
                changes: lifecycle.subscribe(),
                permit,
            };
            drop(tasks::spawn(connection.run()));
        }
    }
}
