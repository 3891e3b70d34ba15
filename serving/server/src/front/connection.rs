//! The life of one connection: drives it until it ends by itself, by age, silence or the phase.
//!
//! Started by `accept` as one task per connection. Age sends GOAWAY and then waits for a while; a
//! peer that never finishes its handshake or never reads its answers is cut off. It must never wait
//! for a peer without a limit: hyper's own graceful shutdown waits for ever on an unfinished
//! handshake.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http2,
    service::Service,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, interval_at, sleep_until},
};

use super::{
    drain::{Phase, State},
    tasks,
    unsent::Unsent,
};

/// Bytes of the client's connection preface; less than that read means no handshake yet.
const PREFACE_LEN: usize = 24;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time a connection gets to finish its requests after a GOAWAY for age.
const AGE_GRACE: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_hours(366 * 24);

/// A connection with the times that end it.
pub(super) struct Timed<C> {
    /// The connection.
    pub(super) connection: C,
    /// Bytes that were read from it.
    pub(super) read: Arc<AtomicUsize>,
    /// Its answers that are being sent.
    pub(super) unsent: Arc<Unsent>,
    /// How long an answer may stay unread.
    pub(super) unread_limit: Duration,
    /// When it is asked to reopen; `None`: never.
    pub(super) age: Option<Duration>,
    /// Whether it is past the cap and only told to go away.
    pub(super) refused: bool,
    /// The life of the process.
    pub(super) changes: watch::Receiver<State>,
    /// Its place among the connections, given back at its end.
    pub(super) permit: OwnedSemaphorePermit,
}

impl<S, B> Timed<http2::Connection<TokioIo<Counted>, S, tasks::Executor>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    /// Drives the connection to its end.
    pub(super) async fn run(self) {
        let Self {
            connection,
            read,
            unsent,
            unread_limit,
            age,
            refused,
            mut changes,
            permit: _permit,
        } = self;
        let handshaken = || read.load(Ordering::Relaxed) >= PREFACE_LEN;
        let mut connection = pin!(connection);
        let opened = Instant::now();
        let age_end = opened + age.unwrap_or(NEVER);
        let mut timer = pin!(sleep_until(age_end.min(opened + HANDSHAKE_TIMEOUT)));
        let mut periods = interval_at(opened + unread_limit, unread_limit);
        let mut going_away = refused;
        if refused {
            connection.as_mut().graceful_shutdown();
        }
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                () = &mut timer => {
                    let now = Instant::now();
                    if going_away || (!handshaken() && now >= opened + HANDSHAKE_TIMEOUT) {
                        return;
                    }
                    let next = if now < age_end {
                        age_end
                    } else {
                        going_away = true;
                        connection.as_mut().graceful_shutdown();
                        now + AGE_GRACE
                    };
                    timer.as_mut().reset(next);
                }
                _ = periods.tick() => {
                    if unsent.is_stalled() {
                        tracing::debug!("a peer does not read its answers");
                        return;
                    }
                }
                phase = changed(&mut changes) => {
                    if phase == Phase::Aborting || (phase == Phase::Closing && !handshaken()) {
                        return;
                    }
                    if phase == Phase::Closing {
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

async fn changed(changes: &mut watch::Receiver<State>) -> Phase {
    match changes.changed().await {
        Ok(()) => changes.borrow_and_update().phase,
        Err(_) => Phase::Aborting,
    }
}

/// A TCP stream that counts what was read from it.
pub(super) struct Counted {
    /// The stream.
    pub(super) stream: TcpStream,
    /// Bytes so far.
    pub(super) read: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.read
            .fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
