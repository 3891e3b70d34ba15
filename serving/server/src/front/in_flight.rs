//! Requests in flight and their integral over time, from which an autoscaler computes averages.
//!
//! Written by `admit` at the start and end of every prediction, read by `admin` for `/scale`.
//! Two readings divided by their distance give the exact mean concurrency, however rarely one looks.

use std::time::Instant;

use parking_lot::Mutex;

/// Counts requests and integrates their number over time.
#[derive(Debug)]
pub struct InFlight {
    started: Instant,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    in_flight: usize,
    /// Request-nanoseconds up to `at`.
    integral: u128,
    /// Nanoseconds since the start.
    at: u128,
}

/// What `/scale` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Requests now.
    pub in_flight: usize,
    /// Request-seconds since the start.
    pub in_flight_seconds: f64,
    /// Seconds since the start.
    pub uptime_seconds: f64,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            sums: Mutex::default(),
        }
    }
}

impl InFlight {
    /// Counts one more request, unless `limit` are there.
    pub fn try_enter(&self, limit: usize) -> bool {
        let mut sums = self.sums.lock();
        if sums.in_flight >= limit {
            return false;
        }
        sums.advance(self.started.elapsed().as_nanos());
        sums.in_flight += 1;
        true
    }

    /// Counts one request less.
    pub fn leave(&self) {
        let mut sums = self.sums.lock();
        sums.advance(self.started.elapsed().as_nanos());
        sums.in_flight = sums.in_flight.saturating_sub(1);
    }

    /// Integral and time, read together.
    #[must_use]
    pub fn read(&self) -> Reading {
        let mut sums = self.sums.lock();
        sums.advance(self.started.elapsed().as_nanos());
        Reading {
            in_flight: sums.in_flight,
            in_flight_seconds: seconds(sums.integral),
            uptime_seconds: seconds(sums.at),
        }
    }
}

impl Sums {
    fn advance(&mut self, now: u128) {
        self.integral += self.in_flight as u128 * now.saturating_sub(self.at);
        self.at = self.at.max(now);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits of nanoseconds are 104 days to the ns"
)]
fn seconds(nanos: u128) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_requests_over_time() {
        let mut sums = Sums::default();
        for (at, in_flight) in [(10, 1), (30, 3), (40, 0), (100, 2)] {
            sums.advance(at);
            sums.in_flight = in_flight;
        }
        sums.advance(110);
        assert_eq!(sums.integral, 20 + 3 * 10 + 2 * 10);
        sums.advance(105);
        assert_eq!((sums.integral, sums.at), (70, 110), "time never goes back");
    }

    #[test]
    fn refuses_past_the_limit() {
        let in_flight = InFlight::default();
        assert!(in_flight.try_enter(1));
        assert!(!in_flight.try_enter(1));
        in_flight.leave();
        assert!(in_flight.try_enter(1));
        assert_eq!(in_flight.read().in_flight, 1);
    }
}
