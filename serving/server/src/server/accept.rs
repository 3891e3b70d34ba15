//! The accept loop: turns a listener into HTTP/2 connections with every limit set.
//!
//! Called by `main` once per gRPC port. Each connection is one task that holds one permit of
//! [`Connections`]; it ends by itself, by age (GOAWAY, then grace), or by the phase of the process.
//! It must never wait for a peer without a limit: hyper's own graceful shutdown waits for ever on
//! a peer that never finishes its handshake.

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
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, interval_at, sleep, sleep_until},
};

use super::{
    drain::{Connections, Lifecycle, Phase, State},
    tasks,
    unsent::Unsent,
};

/// Bytes of the client's connection preface; less than that read means no handshake yet.
const PREFACE_LEN: usize = 24;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time a connection gets to finish its requests after a GOAWAY for age.
const AGE_GRACE: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_hours(366 * 24);
/// An answer that stays unread for longer than this, and at most twice as long, ends its connection.
const UNREAD_LIMIT: Duration = Duration::from_secs(30);
/// Connections past the cap that may be told so at the same time; more are just closed.
const POLITE_REFUSALS: usize = 64;

/// What a connection may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// When a connection is asked to reopen, ±10 %; `None`: never.
    pub age: Option<Duration>,
    /// Bytes that a peer may send before anything is read.
    pub connection_window: u32,
}

impl Limits {
    /// A window is memory promised to every peer: all of them together get an eighth.
    #[must_use]
    pub fn new(age: Option<Duration>, memory_bytes: u64, connections: usize) -> Self {
        let share = memory_bytes / 8 / connections.max(1) as u64;
        let window = share.clamp(1 << 20, 16 << 20);
        Self {
            age,
            connection_window: u32::try_from(window).unwrap_or(1 << 20),
        }
    }

    fn builder(&self) -> http2::Builder<tasks::Executor> {
        let mut builder = http2::Builder::new(tasks::Executor);
        builder
            .timer(TokioTimer::new())
            .initial_connection_window_size(self.connection_window)
            .initial_stream_window_size((self.connection_window / 2).min(2 << 20))
            .max_frame_size(256 << 10)
            .max_header_list_size(16 << 10)
            .max_concurrent_streams(256)
            .max_local_error_reset_streams(1024)
            .max_pending_accept_reset_streams(64)
            .max_send_buf_size(1 << 20)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .auto_date_header(false);
        builder
    }
}

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
    pub limits: Limits,
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
        let builder = limits.builder();
        // A refused peer learns to go away, and until it has learnt that it may open nothing.
        let mut refusing = limits.builder();
        refusing.max_concurrent_streams(0);
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
                age: limits.age.filter(|_| !refused).map(jitter),
                refused,
                changes: lifecycle.subscribe(),
                _permit: permit,
            };
            drop(tasks::spawn(connection.run()));
        }
    }
}

/// ±10 %, so that connections opened together do not close together.
fn jitter(age: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    let tenths_of_percent = 900 + nanos / 1_000 % 201;
    age * tenths_of_percent / 1000
}

/// A connection with the times that end it.
struct Timed<C> {
    connection: C,
    read: Arc<AtomicUsize>,
    unsent: Arc<Unsent>,
    age: Option<Duration>,
    refused: bool,
    changes: watch::Receiver<State>,
    _permit: OwnedSemaphorePermit,
}

impl<S, B> Timed<http2::Connection<TokioIo<Counted>, S, tasks::Executor>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    async fn run(self) {
        let Self {
            connection,
            read,
            unsent,
            age,
            refused,
            mut changes,
            _permit,
        } = self;
        let handshaken = || read.load(Ordering::Relaxed) >= PREFACE_LEN;
        let mut connection = pin!(connection);
        let opened = Instant::now();
        let age_end = opened + age.unwrap_or(NEVER);
        let mut timer = pin!(sleep_until(age_end.min(opened + HANDSHAKE_TIMEOUT)));
        let mut periods = interval_at(opened + UNREAD_LIMIT, UNREAD_LIMIT);
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
struct Counted {
    stream: TcpStream,
    read: Arc<AtomicUsize>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_share_an_eighth_of_the_memory() {
        for (memory, connections, wanted) in [
            (256 << 20, 512, 1 << 20),
            (8 << 30, 512, 2 << 20),
            (64 << 30, 64, 16 << 20),
        ] {
            assert_eq!(
                Limits::new(None, memory, connections).connection_window,
                wanted
            );
        }
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        for _ in 0..100 {
            let age = jitter(Duration::from_secs(1000)).as_secs();
            assert!((900..=1100).contains(&age), "{age}");
        }
    }
}
