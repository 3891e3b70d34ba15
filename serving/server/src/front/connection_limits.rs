//! What a connection may use and how long it may take: turns settings into HTTP/2's limits.
//!
//! Made by `process` for each gRPC port, read by `accept` and `connection`. Every limit that hyper
//! has is set here, in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;

use super::tasks;

/// What a connection may use.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// When a connection is asked to reopen, ±10 %; `None`: never.
    pub age: Option<Duration>,
    /// An answer that stays unread for longer than this, and at most twice as long, ends its
    /// connection.
    pub unread: Duration,
    /// Bytes that a peer may send before anything is read.
    pub window: u32,
}

impl ConnectionLimits {
    /// A window is memory promised to every peer: all of them together get an eighth.
    #[must_use]
    pub fn new(
        age: Option<Duration>,
        unread: Duration,
        memory_bytes: u64,
        connections: usize,
    ) -> Self {
        let share = memory_bytes / 8 / connections.max(1) as u64;
        let window = share.clamp(1 << 20, 16 << 20);
        Self {
            age,
            unread,
            window: u32::try_from(window).unwrap_or(1 << 20),
        }
    }

    /// When this connection is asked to reopen: ±10 %, so that connections opened together do not
    /// close together.
    pub(super) fn own_age(&self) -> Option<Duration> {
        self.age.map(jitter)
    }

    /// What makes connections with these limits.
    pub(super) fn builder(&self) -> http2::Builder<tasks::Executor> {
        let mut builder = http2::Builder::new(tasks::Executor);
        builder
            .timer(TokioTimer::new())
            .initial_connection_window_size(self.window)
            .initial_stream_window_size((self.window / 2).min(2 << 20))
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

    /// The same for a peer that is told to go away: until it has learnt that, it may open nothing.
    pub(super) fn refusing_builder(&self) -> http2::Builder<tasks::Executor> {
        let mut builder = self.builder();
        builder.max_concurrent_streams(0);
        builder
    }
}

fn jitter(age: Duration) -> Duration {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    let tenths_of_percent = 900 + nanos / 1_000 % 201;
    age * tenths_of_percent / 1000
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
            let limits = ConnectionLimits::new(None, Duration::ZERO, memory, connections);
            assert_eq!(limits.window, wanted);
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
