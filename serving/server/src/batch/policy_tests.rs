//! The policy as a table of situations, then its laws for any situation.

use proptest::prelude::*;

use super::*;

/// A request in milliseconds since some start.
#[derive(Clone, Debug)]
struct Asked {
    rows: usize,
    size_bytes: usize,
    key: u8,
    arrived: Instant,
    deadline: Instant,
    cancelled: bool,
}

impl Waiting for Asked {
    type Key = u8;

    fn rows(&self) -> usize {
        self.rows
    }
    fn size_bytes(&self) -> usize {
        self.size_bytes
    }
    fn key(&self) -> &u8 {
        &self.key
    }
    fn arrived(&self) -> Instant {
        self.arrived
    }
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn is_dead(&self, now: Instant) -> bool {
        self.cancelled || self.deadline <= now
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn policy(max_delay: Duration) -> Policy {
    Policy {
        max_rows: 4,
        max_bytes: 100,
        max_delay,
    }
}

/// A request of `rows` rows and shape `key` that arrived at `start` and lives for a second.
fn asked(start: Instant, rows: usize, key: u8) -> Asked {
    Asked {
        rows,
        size_bytes: 10,
        key,
        arrived: start,
        deadline: start + SECOND,
        cancelled: false,
    }
}

#[test]
fn situations() {
    let start = Instant::now();
    let one = |rows| asked(start, rows, 0);
    let other = |rows| asked(start, rows, 1);
    let large = |size_bytes| Asked {
        size_bytes,
        ..one(1)
    };
    let dead = || Asked {
        cancelled: true,
        ..one(1)
    };
    let table: Vec<(&str, Vec<Asked>, Plan)> = vec![
        ("nobody", vec![], Plan::Idle),
        ("only the dead", vec![dead(), dead()], Plan::Idle),
        ("one", vec![one(1)], Plan::Run(vec![0])),
        ("several", vec![one(1), one(2)], Plan::Run(vec![0, 1])),
        (
            "more rows than fit",
            vec![one(3), one(2)],
            Plan::Run(vec![0]),
        ),
        (
            "no overtaking",
            vec![one(3), one(2), one(1)],
            Plan::Run(vec![0]),
        ),
        (
            "too many rows alone",
            vec![one(9), one(1)],
            Plan::Run(vec![0]),
        ),
        (
            "more bytes than fit",
            vec![large(60), large(41), large(1)],
            Plan::Run(vec![0]),
        ),
        (
            "exactly full",
            vec![large(60), large(40), large(0)],
            Plan::Run(vec![0, 1]),
        ),
        (
            "another shape between",
            vec![one(1), other(1), one(1)],
            Plan::Run(vec![0, 2]),
        ),
        (
            "the dead are passed over",
            vec![dead(), one(1), dead(), one(1)],
            Plan::Run(vec![1, 3]),
        ),
    ];
    for (name, pending, expected) in table {
        assert_eq!(
            plan(&pending, start, &policy(Duration::ZERO)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn delays() {
    let start = Instant::now();
    let one = |rows| asked(start, rows, 0);
    let hurried = Asked {
        deadline: start + ms(6),
        ..one(1)
    };
    let late = Asked {
        arrived: start + ms(9),
        ..one(1)
    };
    let wait = |millis| Plan::WaitUntil(start + ms(millis));
    let table: Vec<(&str, Vec<Asked>, u64, Plan)> = vec![
        ("waits for company", vec![one(1)], 0, wait(10)),
        (
            "company does not prolong it",
            vec![one(1), late.clone()],
            9,
            wait(10),
        ),
        ("time is up", vec![one(1), late], 10, Plan::Run(vec![0, 1])),
        ("full", vec![one(2), one(2)], 0, Plan::Run(vec![0, 1])),
        (
            "the next does not fit",
            vec![one(3), one(2)],
            0,
            Plan::Run(vec![0]),
        ),
        (
            "another shape waits",
            vec![one(1), asked(start, 1, 1)],
            0,
            Plan::Run(vec![0]),
        ),
        (
            "at most half of its time",
            vec![hurried.clone()],
            0,
            wait(3),
        ),
        (
            "half of its time is up",
            vec![hurried],
            3,
            Plan::Run(vec![0]),
        ),
    ];
    for (name, pending, at, expected) in table {
        assert_eq!(
            plan(&pending, start + ms(at), &policy(ms(10))),
            expected,
            "{name}"
        );
    }
}

prop_compose! {
    fn any_asked(start: Instant)(
        rows in 0..7_usize,
        size_bytes in 0..150_usize,
        key in 0..3_u8,
        arrived in 0..50_u64,
        lifetime in 1..100_u64,
        cancelled in prop::bool::weighted(0.2),
    ) -> Asked {
        let arrived = start + ms(arrived);
        Asked { rows, size_bytes, key, arrived, deadline: arrived + ms(lifetime), cancelled }
    }
}

fn any_pending() -> impl Strategy<Value = (Instant, Vec<Asked>)> {
    let start = Instant::now();
    prop::collection::vec(any_asked(start), 0..20).prop_map(move |mut pending| {
        pending.sort_by_key(|asked| asked.arrived);
        (start, pending)
    })
}

proptest! {
    #[test]
    fn laws((start, pending) in any_pending(), at in 0..120_u64, delay in 0..20_u64) {
        let (now, policy) = (start + ms(at), policy(ms(delay)));
        let alive: Vec<usize> =
            (0..pending.len()).filter(|&index| !pending[index].is_dead(now)).collect();
        match plan(&pending, now, &policy) {
            Plan::Idle => prop_assert!(alive.is_empty()),
            Plan::WaitUntil(time) => {
                let leader = &pending[alive[0]];
                prop_assert!(time > now);
                prop_assert!(time <= leader.arrived + policy.max_delay);
                prop_assert!(time < leader.deadline);
            }
            Plan::Run(chosen) => {
                prop_assert!(chosen.iter().all(|index| alive.contains(index)), "the dead never run");
                prop_assert_eq!(chosen[0], alive[0], "the oldest leads");
                prop_assert!(chosen.is_sorted_by(|a, b| a < b), "each at most once, in order");
                let key = pending[chosen[0]].key;
                prop_assert!(chosen.iter().all(|&index| pending[index].key == key));
                let last = chosen[chosen.len() - 1];
                let same = alive.iter().filter(|&&index| index <= last && pending[index].key == key);
                prop_assert_eq!(same.count(), chosen.len(), "first in, first out within a shape");
                let rows: usize = chosen.iter().map(|&index| pending[index].rows).sum();
                let bytes: usize = chosen.iter().map(|&index| pending[index].size_bytes).sum();
                prop_assert!(chosen.len() == 1 || rows <= policy.max_rows);
                prop_assert!(chosen.len() == 1 || bytes <= policy.max_bytes);
            }
        }
    }

    #[test]
    fn without_delay_nobody_waits_for_company((start, pending) in any_pending(), at in 0..120_u64) {
        let plan = plan(&pending, start + ms(at), &policy(Duration::ZERO));
        // A request that arrives in the future of `now` is the only one that may be waited for.
        if let Plan::WaitUntil(time) = plan {
            prop_assert!(pending.iter().any(|asked| asked.arrived == time));
        }
    }

    #[test]
    fn everybody_runs_or_dies((start, mut pending) in any_pending()) {
        let now = start + ms(50);
        let policy = policy(ms(5));
        for _ in 0..=pending.len() {
            match plan(&pending, now + ms(5), &policy) {
                Plan::Run(chosen) => {
                    let mut index = 0;
                    pending.retain(|_| { index += 1; !chosen.contains(&(index - 1)) });
                }
                Plan::Idle => break,
                Plan::WaitUntil(time) => prop_assert!(false, "waits until {:?}", time),
            }
        }
        prop_assert!(pending.iter().all(|asked| asked.is_dead(now + ms(5))));
    }
}
