//! A service that hangs opens the breaker, in every order of the policies. A caller that goes away
//! does not.

use std::future::pending;

use picarcade_breaker::{
    Bulkhead, CallError, CircuitBreaker, Config, Deadline, DeadlineExceeded, FailureKind, Registry, Retry,
    RetryError, RetryHint, State,
};

use crate::support::{breaker, ready, secs};

const HANGS: u32 = 20;

type Hang = Result<(), &'static str>;

fn hint(error: &CallError<&'static str>) -> RetryHint {
    RetryHint::of_call(error, |_| RetryHint::Backoff)
}

/// Asserts that the default policy opened the breaker by time-outs and that nothing was neutral.
fn assert_opened_by_timeouts(breaker: &CircuitBreaker) {
    let statistics = breaker.statistics();
    assert_eq!(statistics.state, State::Open, "{statistics:?}");
    assert_eq!((statistics.failure, statistics.neutral), (5, 0), "{statistics:?}");
    assert_eq!(statistics.last_failure, Some(FailureKind::Timeout));
    assert_eq!(statistics.rejected, u64::from(HANGS) - 5);
}

/// A breaker with the default policy that stays open for the whole test.
fn default_policy() -> CircuitBreaker {
    breaker(Config::default().open_for(secs(3600)))
}

#[tokio::test(start_paused = true)]
async fn the_composition_of_the_readme_opens_on_a_hanging_service() {
    let breaker = Registry::new().breaker("anthropic");
    let bulkhead = Bulkhead::new(20, 100).unwrap();
    let retry = Retry::default();
    let mut timeouts = 0;
    for _ in 0..HANGS {
        let deadline = Deadline::after(secs(5));
        let _room = bulkhead.acquire(deadline.instant()).await.unwrap();
        let result = retry.run(deadline, hint, |_| breaker.call(pending::<Hang>())).await;
        timeouts += u32::from(result == Err(RetryError::DeadlineExceeded));
    }
    assert_eq!((timeouts, breaker.state()), (5, State::Open));
    assert_eq!(breaker.statistics().last_failure, Some(FailureKind::Timeout));
    assert_eq!(bulkhead.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_around_the_breaker_opens_it() {
    let breaker = default_policy();
    for _ in 0..HANGS {
        let _ended = Deadline::after(secs(5)).run(breaker.call(pending::<Hang>())).await;
    }
    assert_opened_by_timeouts(&breaker);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_around_everything_opens_the_breaker() {
    let (breaker, bulkhead, retry) = (default_policy(), Bulkhead::new(1, 1).unwrap(), Retry::default());
    for _ in 0..HANGS {
        let whole = async {
            let _room = bulkhead.acquire(Deadline::after(secs(60)).instant()).await.unwrap();
            retry.run(Deadline::after(secs(60)), hint, |_| breaker.call(pending::<Hang>())).await
        };
        let _ended = Deadline::after(secs(5)).run(whole).await;
    }
    assert_opened_by_timeouts(&breaker);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_for_each_attempt_opens_the_breaker() {
    let (breaker, retry) = (default_policy(), Retry::new(1).unwrap());
    for _ in 0..HANGS {
        let deadline = Deadline::after(secs(60));
        let attempt = |_| deadline.at_most(secs(2)).run(breaker.call(pending::<Hang>()));
        let _ended = retry
            .run(
                deadline,
                |_: &DeadlineExceeded| RetryHint::Backoff,
                |n| {
                    let attempt = attempt(n);
                    async move { attempt.await.map(|_| ()) }
                },
            )
            .await;
    }
    assert_opened_by_timeouts(&breaker);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_around_retries_and_bulkhead_opens() {
    let (breaker, bulkhead, retry) = (default_policy(), Bulkhead::new(1, 1).unwrap(), Retry::default());
    for _ in 0..HANGS {
        let deadline = Deadline::after(secs(5));
        let guarded = breaker.call(async {
            let _room = bulkhead.acquire(deadline.instant()).await.unwrap();
            let hint = |_: &&str| RetryHint::Backoff;
            retry.run(deadline, hint, |_| pending::<Hang>()).await
        });
        let _ended = deadline.run(guarded).await;
    }
    let statistics = breaker.statistics();
    assert_eq!((statistics.state, statistics.neutral), (State::Open, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_by_hand_that_a_deadline_drops_is_a_timeout() {
    let breaker = default_policy();
    for _ in 0..HANGS {
        let work = async {
            let permit = breaker.try_acquire()?;
            pending::<()>().await;
            permit.success();
            Ok::<_, CallError<()>>(())
        };
        let _ended = Deadline::after(secs(1)).run(work).await;
    }
    assert_opened_by_timeouts(&breaker);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_probe_reopens_the_breaker() {
    let breaker = ready(Config::default()).await;
    let ended = Deadline::after(secs(5)).run(breaker.call(pending::<Hang>())).await;
    assert_eq!((ended, breaker.state()), (Err(DeadlineExceeded), State::Open));
}

#[tokio::test(start_paused = true)]
async fn callers_that_go_away_inside_a_deadline_are_neutral() {
    let (breaker, retry) = (default_policy(), Retry::default());
    for _ in 0..HANGS {
        let deadline = Deadline::after(secs(5));
        let call = deadline.run(retry.run(deadline, hint, |_| breaker.call(pending::<Hang>())));
        assert!(tokio::time::timeout(secs(1), call).await.is_err());
        // The end of another deadline on the same thread concerns only the future of that deadline.
        let other = Deadline::after(secs(1)).run(pending::<()>()).await;
        assert_eq!(other, Err(DeadlineExceeded));
        drop(breaker.try_acquire().unwrap());
    }
    let statistics = breaker.statistics();
    assert_eq!((statistics.failure, statistics.neutral), (0, 2 * u64::from(HANGS)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_starts_after_its_deadline_is_not_judged() {
    let breaker = default_policy();
    let deadline = Deadline::after(secs(1));
    tokio::time::advance(secs(1)).await;
    assert_eq!(deadline.run(breaker.call(pending::<Hang>())).await, Err(DeadlineExceeded));
    assert_eq!((breaker.statistics().failure, breaker.statistics().neutral), (0, 0));
}
