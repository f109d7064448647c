//! One deadline over waiting, retries and calls.

use picarcade_breaker::{
    Bulkhead, CallError, CircuitBreaker, Config, Deadline, DeadlineExceeded, Outcome, Retry, RetryBudget,
    RetryError, RetryHint,
};
use tokio::time::Instant;

use crate::support::{advance, millis, secs};

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_down_and_expires() {
    let deadline = Deadline::after(secs(5));
    advance(secs(2)).await;
    assert_eq!(deadline.remaining(), secs(3));
    assert!(!deadline.expired());
    assert_eq!(deadline.at_most(secs(1)).remaining(), secs(1));
    assert_eq!(deadline.at_most(secs(10)), deadline);
    advance(secs(4)).await;
    assert!(deadline.expired() && deadline.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_future_and_does_not_start_a_late_one() {
    let deadline = Deadline::after(secs(5));
    let start = Instant::now();
    assert_eq!(deadline.run(std::future::pending::<()>()).await, Err(DeadlineExceeded));
    assert_eq!(start.elapsed(), secs(5));
    let mut begun = false;
    assert_eq!(deadline.run(async { begun = true }).await, Err(DeadlineExceeded));
    assert!(!begun);
}

#[tokio::test(start_paused = true)]
async fn the_longest_time_does_not_overflow() {
    assert!(!Deadline::after(std::time::Duration::MAX).expired());
}

/// However the queue, the attempts and the pauses share the time, the whole ends at the deadline.
#[tokio::test(start_paused = true)]
async fn one_deadline_limits_queue_attempts_and_pauses() {
    let bulkhead = Bulkhead::new(1, 10).unwrap();
    let breaker = CircuitBreaker::new("all", Config::default().failure_threshold(100)).unwrap();
    let retry = Retry::new(100).unwrap().budget(RetryBudget::new(0.2, 100.0).unwrap());
    let busy = bulkhead.try_acquire().unwrap();
    let start = Instant::now();
    let deadline = Deadline::after(secs(10));
    let work = async {
        let _room = bulkhead.acquire(deadline.instant()).await.expect("room after four seconds");
        let hint = |error: &CallError<&str>| RetryHint::of_call(error, |_| RetryHint::Backoff);
        retry
            .run(deadline, hint, |_| {
                breaker.call(async {
                    tokio::time::sleep(millis(1500)).await;
                    Err::<(), _>("busy")
                })
            })
            .await
    };
    let free = async {
        tokio::time::sleep(secs(4)).await;
        drop(busy);
    };
    let (result, ()) = tokio::join!(work, free);
    assert_eq!(result, Err(RetryError::Failed(CallError::Failed("busy"))));
    assert!((secs(9)..=secs(10)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(breaker.statistics().failure >= 2);
    assert_eq!(bulkhead.in_use(), 0);
}

/// The same composition, dropped at every possible moment: in the queue, in an attempt, in a pause.
#[tokio::test(start_paused = true)]
async fn a_composition_dropped_at_any_point_holds_no_slot() {
    for cut in (0..60).map(|tenth| millis(tenth * 100)) {
        let bulkhead = Bulkhead::new(1, 1).unwrap();
        let breaker =
            CircuitBreaker::new("all", Config::default().failure_threshold(1).success_threshold(1)).unwrap();
        breaker.try_acquire().unwrap().failure();
        advance(secs(60)).await;
        let retry = Retry::new(5).unwrap().budget(RetryBudget::new(1.0, 100.0).unwrap());
        let busy = bulkhead.try_acquire().unwrap();
        let deadline = Deadline::after(secs(100));
        let work = async {
            let _room = bulkhead.acquire(deadline.instant()).await.unwrap();
            let attempt = |number: u32| {
                let classify = |_: &Result<u32, &str>| Outcome::Neutral;
                breaker.call_with(classify, async move {
                    tokio::time::sleep(secs(1)).await;
                    if number == 1 { Ok(number) } else { Err("again") }
                })
            };
            retry.run(deadline, |_: &CallError<&str>| RetryHint::After(secs(1)), attempt).await
        };
        let free = async {
            tokio::time::sleep(secs(1)).await;
            drop(busy);
        };
        let _cut_or_done = tokio::time::timeout(cut, async { tokio::join!(work, free) }).await;
        assert_eq!(bulkhead.queued(), 0, "after {cut:?}");
        assert_eq!(bulkhead.in_use(), 0, "after {cut:?}");
        assert!(breaker.is_available(), "the probe's slot is lost after {cut:?}");
    }
}
