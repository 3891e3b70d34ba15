//! The queue against a plain list that does the same, then with real threads.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use proptest::prelude::*;
use tokio::sync::oneshot::{Receiver, error::TryRecvError};

use super::*;
use crate::batch::{
    fixture::{work, work_of},
    job::Answer,
};

const POLICY: Policy = Policy {
    max_rows: 4,
    max_bytes: 24,
    max_delay: Duration::ZERO,
};
const LIMITS: QueueLimits = QueueLimits {
    rows: 10,
    size_bytes: 60,
};
const LIFETIME: Duration = Duration::from_millis(20);

fn queue(max_delay: Duration) -> Queue {
    Queue::new(
        Policy {
            max_delay,
            ..POLICY
        },
        LIMITS,
    )
}

fn job(rows: usize, lifetime: Duration) -> (Job, Receiver<Answer>) {
    let now = Instant::now();
    Job::new(work(rows, 2), now, now + lifetime)
}

/// What the queue gives out at that time, without waiting.
fn pull_at(queue: &Queue, now: Instant) -> Vec<Job> {
    let (found, dead) = queue.look(&mut queue.state.lock(), now);
    expire(dead);
    match found {
        Found::Batch(jobs) => jobs,
        Found::Nothing | Found::Closed => Vec::new(),
        Found::WaitUntil(time) => panic!("waits until {time:?}"),
    }
}

// --- against a reference -------------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Step {
    Push { rows: usize, columns: usize },
    Pull,
    Cancel(prop::sample::Index),
    Advance(u64),
    Close,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_usize, 1..4_usize).prop_map(|(rows, columns)| Step::Push { rows, columns }),
        3 => Just(Step::Pull),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => (1..15_u64).prop_map(Step::Advance),
        1 => Just(Step::Close),
    ]
}

/// A job as the reference knows it. `columns` is its shape.
#[derive(Clone, Debug)]
struct Known {
    id: u8,
    rows: usize,
    columns: usize,
    deadline: Instant,
}

/// The living, in their order: the whole truth about what the queue must do.
#[derive(Default)]
struct Reference {
    alive: Vec<Known>,
    closed: bool,
}

impl Reference {
    fn push(&mut self, known: Known) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let rows: usize = self.alive.iter().map(|job| job.rows).sum();
        let bytes: usize = self.alive.iter().map(|job| job.rows * job.columns).sum();
        let fits = rows + known.rows <= LIMITS.rows
            && bytes + known.rows * known.columns <= LIMITS.size_bytes;
        if !self.alive.is_empty() && !fits {
            return Err(Refused::Full);
        }
        self.alive.push(known);
        Ok(())
    }

    fn pull(&mut self) -> Vec<u8> {
        let Some(leader) = self.alive.first().cloned() else {
            return Vec::new();
        };
        let (mut ids, mut rows, mut bytes) = (Vec::new(), 0, 0);
        for job in self
            .alive
            .iter()
            .filter(|job| job.columns == leader.columns)
        {
            rows += job.rows;
            bytes += job.rows * job.columns;
            if !ids.is_empty() && (rows > POLICY.max_rows || bytes > POLICY.max_bytes) {
                break;
            }
            ids.push(job.id);
        }
        self.alive.retain(|job| !ids.contains(&job.id));
        ids
    }
}

fn ids(jobs: &[Job]) -> Vec<u8> {
    jobs.iter()
        .map(|job| job.work().inputs()[0].data()[0])
        .collect()
}

proptest! {
    #[test]
    fn does_what_a_plain_list_does(steps in prop::collection::vec(any_step(), 0..60)) {
        let (queue, mut reference) = (queue(Duration::ZERO), Reference::default());
        let mut now = Instant::now();
        let mut waiting: HashMap<u8, Receiver<Answer>> = HashMap::new();
        let mut expired: Vec<u8> = Vec::new();
        for (id, step) in (0_u8..).zip(steps) {
            match step {
                Step::Push { rows, columns } => {
                    let deadline = now + LIFETIME;
                    let work = work_of(rows, columns, vec![id; rows * columns], &[]);
                    let (job, receiver) = Job::new(work, now, deadline);
                    let expected = reference.push(Known { id, rows, columns, deadline });
                    prop_assert_eq!(queue.push_at(job, now), expected);
                    if expected.is_ok() {
                        waiting.insert(id, receiver);
                    }
                }
                Step::Pull => {
                    let pulled = ids(&pull_at(&queue, now));
                    prop_assert_eq!(&pulled, &reference.pull());
                    waiting.retain(|id, _| !pulled.contains(id));
                }
                Step::Cancel(index) if !reference.alive.is_empty() => {
                    let id = reference.alive.remove(index.index(reference.alive.len())).id;
                    waiting.remove(&id);
                }
                Step::Cancel(_) => {}
                Step::Advance(millis) => {
                    now += Duration::from_millis(millis);
                    let (alive, dead) = reference.alive.drain(..).partition(|job| job.deadline > now);
                    reference.alive = alive;
                    expired.extend::<Vec<u8>>(dead.into_iter().map(|job: Known| job.id).collect());
                }
                Step::Close => {
                    let left = queue.close();
                    let alive: Vec<u8> = reference.alive.drain(..).map(|job| job.id).collect();
                    let left: Vec<Job> = left.into_iter().filter(|job| !job.is_dead(now)).collect();
                    prop_assert_eq!(ids(&left), alive);
                    reference.closed = true;
                    waiting.clear();
                    expired.clear();
                }
            }
            let living: usize = reference.alive.iter().map(|job| job.rows).sum();
            prop_assert!(queue.rows() >= living);
        }
        while !reference.alive.is_empty() {
            prop_assert_eq!(ids(&pull_at(&queue, now)), reference.pull());
        }
        prop_assert!(pull_at(&queue, now).is_empty());
        prop_assert_eq!(queue.rows(), 0, "an idle queue keeps no dead");
        for id in expired {
            let answer = waiting.get_mut(&id).map(Receiver::try_recv);
            let error = InferError::DeadlineExceeded { executed: false };
            prop_assert_eq!(answer, Some(Ok(Err(error))));
        }
    }
}

// --- single situations ---------------------------------------------------------------------------

#[test]
fn the_dead_make_room() {
    let queue = queue(Duration::ZERO);
    let (first, cancelled) = job(10, LIFETIME);
    queue.push(first).unwrap();
    assert_eq!(queue.push(job(1, LIFETIME).0), Err(Refused::Full));
    drop(cancelled);
    let (second, _waits) = job(1, LIFETIME);
    assert_eq!(queue.push(second), Ok(()));
    assert_eq!(queue.rows(), 1);
}

#[test]
fn the_hopeless_are_refused_at_once() {
    let queue = queue(Duration::ZERO);
    assert_eq!(queue.push(job(1, Duration::ZERO).0), Err(Refused::Late));
    assert_eq!(queue.retry_after(), Duration::from_millis(10));
    queue.record(4, Duration::from_secs(40));
    let (first, cancelled) = job(3, Duration::from_mins(1));
    queue.push(first).unwrap();
    assert_eq!(
        queue.push(job(1, Duration::from_secs(39)).0),
        Err(Refused::Late)
    );
    assert_eq!(queue.retry_after(), Duration::from_secs(1));
    drop(cancelled);
    let (second, _waits) = job(1, Duration::from_secs(39));
    assert_eq!(queue.push(second), Ok(()), "the dead take no time");
}

#[test]
fn an_empty_queue_takes_a_job_of_any_size() {
    let queue = queue(Duration::ZERO);
    let (large, _waits) = job(1000, LIFETIME);
    assert_eq!(queue.push(large), Ok(()));
    assert_eq!(queue.pull().map(|jobs| jobs.len()), Some(1));
}

#[test]
fn a_pull_waits_as_long_as_the_policy_says() {
    let queue = queue(Duration::from_millis(5));
    let (one, _waits) = job(1, Duration::from_mins(1));
    let arrived = one.arrived();
    queue.push(one).unwrap();
    assert_eq!(queue.pull().map(|jobs| jobs.len()), Some(1));
    assert!(arrived.elapsed() >= Duration::from_millis(5));
}

#[test]
fn closing_wakes_everybody_and_hands_back_the_rest() {
    let queue = Queue::new(
        Policy {
            max_delay: Duration::from_hours(1),
            ..POLICY
        },
        LIMITS,
    );
    let (one, mut receiver) = job(1, Duration::from_hours(2));
    queue.push(one).unwrap();
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| queue.pull().is_none()))
            .collect();
        let left = queue.close();
        assert_eq!(left.len(), 1);
        assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
        assert!(pulls.into_iter().all(|pull| pull.join().unwrap()));
    });
    assert_eq!(queue.push(job(1, LIFETIME).0), Err(Refused::Closed));
    assert!(queue.close().is_empty());
    assert_eq!(queue.rows(), 0);
}

#[test]
fn refusals_become_errors_that_may_be_repeated() {
    let labels = [
        (Refused::Full, "overloaded"),
        (Refused::Late, "deadline_exceeded"),
        (Refused::Closed, "unavailable"),
    ];
    for (refused, label) in labels {
        let facts = refused.into_error(Duration::from_millis(9)).facts();
        assert_eq!((facts.label, facts.executed), (label, false));
    }
}

// --- threads -------------------------------------------------------------------------------------

#[test]
fn no_wake_up_is_lost_between_threads() {
    const PRODUCERS: usize = 4;
    const EACH: usize = 500;
    let queue = queue(Duration::from_micros(50));
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(jobs) = queue.pull() {
                    for job in jobs {
                        job.answer(Ok(Vec::new()));
                    }
                }
            });
        }
        let produce = |producer: usize| {
            for number in 0..EACH {
                let now = Instant::now();
                let work = work(1 + number % 2, 1 + producer % 2);
                let (job, receiver) = Job::new(work, now, now + Duration::from_mins(1));
                match queue.push(job) {
                    Ok(()) => {
                        assert!(matches!(receiver.blocking_recv(), Ok(Ok(_))));
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                }
            }
        };
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| scope.spawn(move || produce(producer)))
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        assert!(queue.close().is_empty());
    });
    let total = answered.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed);
    assert_eq!(total, PRODUCERS * EACH);
    assert_eq!(
        refused.load(Ordering::Relaxed),
        0,
        "four jobs of two rows may not fill it"
    );
}
