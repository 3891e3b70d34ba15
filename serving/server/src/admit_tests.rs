//! Gates count exactly, and the model gate refuses for the right reason.

use std::thread;

use proptest::prelude::*;

use super::*;
use crate::batch::fixture::work;

const SECOND: Duration = Duration::from_secs(1);

fn admit(gate: &ModelGate, rows: usize, left: Duration) -> Result<ModelPermit, InferError> {
    let now = Instant::now();
    gate.admit(&work(rows, 10), now, now + left)
}

fn label(result: Result<ModelPermit, InferError>) -> &'static str {
    result.map_or_else(|error| error.facts().label, |_| "admitted")
}

#[test]
fn a_permit_gives_back_what_it_took() {
    let gate = Gate::new(3);
    let two = gate.enter(2).unwrap();
    assert!(gate.enter(2).is_none());
    let one = gate.enter(1).unwrap();
    assert_eq!((gate.used(), gate.limit()), (3, 3));
    drop(two);
    assert_eq!(gate.used(), 1);
    drop(one);
    assert_eq!(gate.used(), 0);
}

#[test]
fn an_empty_gate_lets_anything_in() {
    let gate = Gate::new(3);
    let _large = gate.enter(100).unwrap();
    assert!(gate.enter(1).is_none());
}

#[test]
fn threads_never_pass_the_limit_together() {
    let gate = Gate::new(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    if let Some(_permit) = gate.enter(1) {
                        assert!(gate.used() <= 2);
                    }
                }
            });
        }
    });
    assert_eq!(gate.used(), 0);
}

#[test]
fn a_model_has_room_for_rows_and_bytes() {
    let gate = ModelGate::new(4, 1000, 4);
    let _first = admit(&gate, 3, SECOND).unwrap();
    assert_eq!(gate.rows(), 3);
    let refusal = admit(&gate, 2, SECOND).unwrap_err();
    let expected = InferError::Overloaded {
        what: "the model's room for rows",
        retry_after: Duration::from_millis(10),
    };
    assert_eq!(refusal, expected);
    let narrow = ModelGate::new(100, 50, 4);
    let _first = admit(&narrow, 3, SECOND).unwrap();
    assert_eq!(label(admit(&narrow, 3, SECOND)), "overloaded");
    assert_eq!(narrow.rows(), 3, "a refusal for bytes gives the rows back");
}

#[test]
fn a_hopeless_deadline_is_refused_at_once() {
    let gate = ModelGate::new(100, 10_000, 4);
    assert_eq!(label(admit(&gate, 1, Duration::ZERO)), "deadline_exceeded");
    gate.pace().record(4, Duration::from_millis(40));
    let _ahead = admit(&gate, 10, SECOND).unwrap();
    assert_eq!(
        label(admit(&gate, 1, Duration::from_millis(109))),
        "deadline_exceeded"
    );
    assert_eq!(
        label(admit(&gate, 1, Duration::from_millis(111))),
        "admitted"
    );
    assert_eq!(gate.retry_after(), Duration::from_millis(50));
}

#[test]
fn the_pace_is_learnt_from_full_batches_and_smoothed() {
    let pace = Pace::new(8);
    assert_eq!(pace.time_for(1_000_000), Duration::ZERO);
    pace.record(3, SECOND);
    pace.record(0, SECOND);
    assert_eq!(
        pace.time_for(8),
        Duration::ZERO,
        "small batches teach nothing"
    );
    pace.record(4, Duration::from_micros(32));
    assert_eq!(pace.time_for(10), Duration::from_micros(80));
    pace.record(8, Duration::from_micros(128));
    assert_eq!(pace.time_for(1), Duration::from_micros(9));
    pace.record(usize::MAX, Duration::MAX);
    assert!(pace.time_for(usize::MAX) > SECOND);
}

proptest! {
    #[test]
    fn used_is_always_the_sum_of_the_permits(
        steps in prop::collection::vec((any::<bool>(), 1..6_usize), 0..60),
    ) {
        let gate = Gate::new(8);
        let mut permits: Vec<Permit> = Vec::new();
        for (enters, amount) in steps {
            if enters {
                permits.extend(gate.enter(amount));
            } else if !permits.is_empty() {
                drop(permits.remove(amount % permits.len()));
            }
            let sum: usize = permits.iter().map(|permit| permit.amount).sum();
            prop_assert_eq!(gate.used(), sum);
            prop_assert!(sum <= 8);
        }
    }
}
