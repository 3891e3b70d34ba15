//! Admission of a prediction, by its headers: before any of its body is read or decoded.
//!
//! Asked by `layer` for each prediction; what is admitted holds its place until its answer was
//! handed to HTTP/2 or the client went away, and is counted by code then. It refuses and never
//! waits: waiting would deadlock with HTTP/2's flow control. Rows and bytes are limited later, by
//! `batch::Queue`, when they are known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aimodel_wire::InferError;
use tonic::Code;

use super::{
    in_flight::InFlight,
    unsent::{Ticket, Unsent},
};
use crate::metrics::Metrics;

/// What decides whether a prediction is taken in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Requests in flight.
    pub in_flight: Arc<InFlight>,
    /// Requests in flight at most.
    pub most: usize,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Admission {
    /// Takes a prediction in, or tells its client when to try again.
    ///
    /// # Errors
    /// When as many as may be are in flight; the refusal is counted.
    pub(super) fn admit(
        &self,
        arrived: Instant,
        unsent: &Arc<Unsent>,
        retry_after: impl FnOnce() -> Duration,
    ) -> Result<Admitted, InferError> {
        if !self.in_flight.try_enter(self.most) {
            self.metrics
                .answered(Code::ResourceExhausted, arrived.elapsed());
            return Err(InferError::Overloaded {
                what: "the server",
                retry_after: retry_after(),
            });
        }
        Ok(Admitted {
            admission: self.clone(),
            arrived,
            unsent: unsent.clone(),
            answer: None,
        })
    }
}

/// A prediction that was taken in; leaving counts it, also when the client went away.
#[derive(Debug)]
pub struct Admitted {
    admission: Admission,
    arrived: Instant,
    unsent: Arc<Unsent>,
    answer: Option<(Code, Ticket)>,
}

impl Admitted {
    /// When its headers came.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Its answer is about to be sent: it is counted by `code`, and the client has to read it.
    pub(super) fn answered(&mut self, code: Code) {
        self.answer = Some((code, self.unsent.enter()));
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.in_flight.leave();
        let answer = self.answer.as_ref();
        let code = answer.map_or(Code::Cancelled, |(code, _)| *code);
        self.admission
            .metrics
            .answered(code, self.arrived.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Gauges;

    fn counted(admission: &Admission, code: &str) -> bool {
        let text = admission.metrics.text(Gauges::default()).unwrap();
        text.contains(&format!(
            "aimodel_serving_requests_total{{model=\"m\",code=\"{code}\"}} 1"
        ))
    }

    #[test]
    fn a_place_is_held_until_the_end_and_counted_by_code() {
        let admission = Admission {
            in_flight: Arc::default(),
            most: 1,
            metrics: Arc::new(Metrics::new("m")),
        };
        let unsent = Arc::<Unsent>::default();
        let admit = || admission.admit(Instant::now(), &unsent, || Duration::from_secs(2));
        let mut first = admit().unwrap();
        let refused = InferError::Overloaded {
            what: "the server",
            retry_after: Duration::from_secs(2),
        };
        assert_eq!(admit().unwrap_err(), refused);
        assert!(counted(&admission, "RESOURCE_EXHAUSTED"));
        assert!(!unsent.is_stalled() && !unsent.is_stalled(), "it runs");
        first.answered(Code::Ok);
        assert!(!unsent.is_stalled());
        assert!(unsent.is_stalled(), "its answer is not read");
        drop(first);
        assert!(counted(&admission, "OK"));
        drop(admit().unwrap());
        assert!(counted(&admission, "CANCELLED"));
        assert_eq!(admission.in_flight.read().in_flight, 0);
    }
}
