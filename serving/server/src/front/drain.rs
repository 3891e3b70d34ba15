//! The life of the process as seen from outside: loading, serving, draining, closing, aborting.
//!
//! [`Lifecycle`] is written by `process` (phases), the engine threads (death) and the watchdog
//! (stuck), and read by health, admin, the accept loop and the service. [`drain`] walks from
//! SIGTERM to the last connection. Nothing here ever waits without a limit.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout_at},
};

/// Where the process stands; the order is the order of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The model is not loaded yet.
    Loading,
    /// All is well.
    Serving,
    /// Not ready any more, but requests are still taken: endpoints take time to change.
    Draining,
    /// No new connections; open ones were told to go away.
    Closing,
    /// Time is up.
    Aborting,
}

/// Phase and health in one value, so that they are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where the process stands.
    pub phase: Phase,
    /// The engine ended and cannot answer again.
    pub dead: bool,
    /// A batch runs for longer than it may.
    pub stuck: bool,
}

impl State {
    /// Whether traffic should come here.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.phase == Phase::Serving && !self.dead
    }

    /// Whether the process should be left alone by the kubelet.
    #[must_use]
    pub fn is_live(self) -> bool {
        !self.stuck
    }
}

/// The shared state and those who wait for its changes.
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<watch::Sender<State>>);

impl Default for Lifecycle {
    fn default() -> Self {
        let state = State {
            phase: Phase::Loading,
            dead: false,
            stuck: false,
        };
        Self(Arc::new(watch::Sender::new(state)))
    }
}

impl Lifecycle {
    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        *self.0.borrow()
    }

    /// A receiver that sees every later change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|state| {
            let forward = phase > state.phase;
            state.phase = state.phase.max(phase);
            forward
        });
    }

    /// Records that the engine is gone for good.
    pub fn engine_died(&self) {
        self.0
            .send_if_modified(|state| !std::mem::replace(&mut state.dead, true));
    }

    /// Records whether an engine is stuck.
    pub fn set_stuck(&self, stuck: bool) {
        self.0
            .send_if_modified(|state| std::mem::replace(&mut state.stuck, stuck) != stuck);
    }

    /// Waits until `phase` is reached.
    pub async fn reached(&self, phase: Phase) {
        let mut changes = self.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = changes.wait_for(|state| state.phase >= phase).await;
    }
}

/// How long the steps of a drain may take.
#[derive(Clone, Copy, Debug)]
pub struct DrainTimes {
    /// How long requests are still taken.
    pub accept: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

impl DrainTimes {
    /// When waiting ends: 3 s before SIGKILL, or half of a shorter grace.
    fn limit(self) -> Duration {
        self.grace
            .saturating_sub(Duration::from_secs(3))
            .max(self.grace / 2)
    }
}

/// Every connection holds one permit of this; all of them back means that none is open.
#[derive(Clone, Debug)]
pub struct Connections {
    permits: Arc<Semaphore>,
    most: u32,
}

impl Connections {
    /// Room for `most` connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX).min(1 << 20);
        Self {
            permits: Arc::new(Semaphore::new(most as usize)),
            most,
        }
    }

    /// The permits, for the accept loop.
    #[must_use]
    pub fn permits(&self) -> &Arc<Semaphore> {
        &self.permits
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.most as usize - self.permits.available_permits()
    }

    /// Waits until none is open.
    pub async fn all_closed(&self) {
        // The semaphore is never closed, so waiting cannot fail.
        let _ = self.permits.acquire_many(self.most).await;
    }
}

/// Walks from SIGTERM to the moment when nothing is open, or time is up.
///
/// Returns whether every connection ended by itself. `fail_queued` answers what still waits.
pub async fn drain(
    lifecycle: &Lifecycle,
    connections: &Connections,
    times: DrainTimes,
    fail_queued: impl FnOnce(),
) -> bool {
    let limit = Instant::now() + times.limit();
    lifecycle.advance(Phase::Draining);
    sleep(times.accept.min(times.limit())).await;
    lifecycle.advance(Phase::Closing);
    if timeout_at(limit, connections.all_closed()).await.is_ok() {
        return true;
    }
    fail_queued();
    let flushed = timeout_at(
        Instant::now() + Duration::from_millis(500),
        connections.all_closed(),
    );
    let clean = flushed.await.is_ok();
    lifecycle.advance(Phase::Aborting);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: DrainTimes = DrainTimes {
        accept: Duration::from_secs(5),
        grace: Duration::from_secs(40),
    };

    #[test]
    fn phases_never_go_back() {
        let lifecycle = Lifecycle::default();
        assert!(!lifecycle.state().is_ready());
        lifecycle.advance(Phase::Serving);
        assert!(lifecycle.state().is_ready());
        lifecycle.advance(Phase::Draining);
        lifecycle.advance(Phase::Serving);
        assert_eq!(lifecycle.state().phase, Phase::Draining);
        assert!(!lifecycle.state().is_ready());
    }

    #[test]
    fn a_dead_engine_is_live_and_not_ready() {
        let lifecycle = Lifecycle::default();
        lifecycle.advance(Phase::Serving);
        lifecycle.engine_died();
        assert!(!lifecycle.state().is_ready());
        assert!(lifecycle.state().is_live());
        lifecycle.set_stuck(true);
        assert!(!lifecycle.state().is_live());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_process_leaves_after_the_accepting_time() {
        let (lifecycle, start) = (Lifecycle::default(), Instant::now());
        assert!(drain(&lifecycle, &Connections::new(4), TIMES, || ()).await);
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(lifecycle.state().phase, Phase::Closing);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_connection_is_waited_for() {
        let (lifecycle, connections) = (Lifecycle::default(), Connections::new(4));
        let permit = connections.permits().clone().try_acquire_owned().unwrap();
        let start = Instant::now();
        let ended = super::super::tasks::spawn(async move {
            sleep(Duration::from_secs(20)).await;
            drop(permit);
        });
        assert!(drain(&lifecycle, &connections, TIMES, || ()).await);
        assert_eq!(start.elapsed().as_secs(), 20);
        ended.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stays_is_cut_three_seconds_before_the_end() {
        let (lifecycle, connections) = (Lifecycle::default(), Connections::new(4));
        let _permit = connections.permits().clone().try_acquire_owned().unwrap();
        let (start, mut failed) = (Instant::now(), false);
        assert!(!drain(&lifecycle, &connections, TIMES, || failed = true).await);
        assert_eq!(start.elapsed().as_millis(), 37_500);
        assert!(failed);
        assert_eq!(lifecycle.state().phase, Phase::Aborting);
    }

    #[test]
    fn a_short_grace_is_halved() {
        let times = DrainTimes {
            accept: Duration::ZERO,
            grace: Duration::from_secs(2),
        };
        assert_eq!(times.limit(), Duration::from_secs(1));
    }
}
