use std::{thread, time::Duration};

use aimodel_wire::DType;
use tokio::sync::oneshot;

use super::*;
use crate::{
    batch::{Answer, Policy, QueueLimits, fixture},
    engine::{Outputs, deliver},
};

const BAD: u8 = 9;
const BROKEN: u8 = 8;
const PANIC: u8 = 7;

/// Gives `x` for `y` and `z`; some bytes make it misbehave.
struct Picky {
    signature: ModelSignature,
    /// From now on nothing works.
    is_broken: bool,
}

impl Engine for Picky {
    fn signature(&self) -> &ModelSignature {
        &self.signature
    }

    fn run(&mut self, batch: Batch<'_>) -> Result<Outputs, EngineError> {
        let mut data = vec![0; batch.size_bytes(0)];
        batch.gather_into(0, &mut data)?;
        assert!(!data.contains(&PANIC), "no sevens");
        let fail = |kind| Err(EngineError::new(kind, "refused"));
        if data.contains(&BAD) {
            return fail(EngineFailure::InvalidArgument);
        }
        if self.is_broken || data.contains(&BROKEN) {
            return fail(EngineFailure::Internal);
        }
        let output = |name: &str| {
            Tensor::new(
                name.into(),
                DType::Uint8,
                batch.shape(0)?,
                data.clone().into(),
            )
            .map_err(|error| EngineError::new(EngineFailure::Internal, error.to_string()))
        };
        Ok(vec![output("y")?, output("z")?])
    }
}

/// What is looked at after the worker ended.
struct Seen {
    result: Result<(), Dead>,
    answers: Vec<Answer>,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
}

/// Pushes one row for each byte, all before the worker starts, and runs it until all are answered.
async fn work(rows: &[u8], max_rows: usize, is_broken: bool) -> Seen {
    let policy = Policy {
        max_rows,
        max_bytes: 1 << 20,
        max_delay: Duration::ZERO,
    };
    let queue = Arc::new(Queue::new(
        policy,
        QueueLimits {
            rows: 100,
            size_bytes: 1 << 20,
        },
    ));
    let metrics = Arc::new(Metrics::new("m"));
    let (delivery, deliveries) = deliver::channel();
    let answers: Vec<oneshot::Receiver<Answer>> =
        rows.iter().map(|byte| push(&queue, *byte)).collect();
    let mut worker = Worker {
        engine: Box::new(Picky {
            signature: fixture::signature(),
            is_broken: false,
        }),
        signature: Arc::new(fixture::signature()),
        queue: queue.clone(),
        delivery,
        metrics: metrics.clone(),
        heartbeat: Arc::default(),
        probe: None,
        failures: 0,
    };
    worker.probe = warmup::warm_up(worker.engine.as_mut()).probe;
    if is_broken {
        worker.engine = Box::new(Picky {
            signature: fixture::signature(),
            is_broken,
        });
    }
    let thread = thread::spawn(move || worker.run());
    let handed_out = crate::front::tasks::spawn(deliveries.run());
    let mut seen = Vec::new();
    for answer in answers {
        seen.push(answer.await.unwrap());
    }
    drop(queue.close());
    let result = thread.join().unwrap();
    handed_out.await.unwrap();
    Seen {
        result,
        answers: seen,
        metrics,
        queue,
    }
}

fn push(queue: &Queue, byte: u8) -> oneshot::Receiver<Answer> {
    let now = Instant::now();
    let work = fixture::work_of(1, 2, vec![byte; 2], &["y"]);
    let (job, answer) = Job::new(work, now, now + Duration::from_mins(1));
    queue.push(job).unwrap();
    answer
}

fn data(answer: &Answer) -> Option<Vec<u8>> {
    answer
        .as_ref()
        .ok()
        .map(|outputs| outputs[0].data().to_vec())
}

fn is_unavailable(answer: &Answer) -> bool {
    matches!(answer, Err(InferError::Unavailable(_)))
}

#[tokio::test]
async fn everyone_gets_their_own_rows() {
    let seen = work(&[1, 2, 3, 4, 5], 2, false).await;
    let rows: Vec<_> = seen.answers.iter().map(data).collect();
    assert_eq!(
        rows,
        (1..=5).map(|byte| Some(vec![byte; 2])).collect::<Vec<_>>()
    );
    assert_eq!(seen.result, Ok(()));
    assert_eq!(seen.metrics.isolations.get(), 0);
}

#[tokio::test]
async fn one_bad_request_fails_alone() {
    let seen = work(&[1, BAD, 3, BROKEN], 4, false).await;
    assert_eq!(data(&seen.answers[0]), Some(vec![1; 2]));
    assert_eq!(data(&seen.answers[2]), Some(vec![3; 2]));
    let kind = |index: usize| match &seen.answers[index] {
        Err(InferError::Engine { kind, .. }) => Some(*kind),
        _ => None,
    };
    assert_eq!(kind(1), Some(EngineFailure::InvalidArgument));
    assert_eq!(kind(3), Some(EngineFailure::Internal));
    assert_eq!(seen.metrics.isolations.get(), 1);
    assert_eq!(seen.result, Ok(()));
}

#[tokio::test]
async fn a_panic_ends_the_engine_and_is_told_to_all() {
    let seen = work(&[1, PANIC, 3, 4], 1, false).await;
    assert_eq!(data(&seen.answers[0]), Some(vec![1; 2]));
    assert!(matches!(&seen.answers[1], Err(InferError::Internal(_))));
    assert!(seen.answers[2..].iter().all(is_unavailable));
    assert_eq!(
        seen.result,
        Err(Dead("the engine panicked: no sevens".to_owned()))
    );
    let now = Instant::now();
    let (late, _answer) = Job::new(fixture::work(1, 2), now, now + Duration::from_mins(1));
    assert_eq!(seen.queue.push(late), Err(crate::batch::Refused::Closed));
}

#[tokio::test]
async fn requests_that_all_fail_do_not_kill_a_good_engine() {
    let seen = work(&[BROKEN; 7], 1, false).await;
    assert!(seen.answers.iter().all(|answer| !is_unavailable(answer)));
    assert_eq!(seen.result, Ok(()));
}

#[tokio::test]
async fn an_engine_that_fails_its_own_probe_is_dead() {
    let seen = work(&[1, 2, 3, 4, 5], 1, true).await;
    assert_eq!(
        seen.answers
            .iter()
            .filter(|answer| is_unavailable(answer))
            .count(),
        2
    );
    assert_eq!(
        seen.result,
        Err(Dead("the engine fails every request: refused".to_owned()))
    );
}

#[test]
fn a_heartbeat_tells_how_long_a_batch_runs() {
    let heartbeat = Heartbeat::default();
    assert_eq!(heartbeat.running_for(), Duration::ZERO);
    heartbeat.running_since.store(1, Ordering::Relaxed);
    let first = heartbeat.running_for();
    while heartbeat.running_for() == first {
        thread::yield_now();
    }
    heartbeat.end();
    assert_eq!(heartbeat.running_for(), Duration::ZERO);
}
