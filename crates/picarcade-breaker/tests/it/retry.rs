//! Retries bridge short failures and do not amplify outages.

use std::cell::Cell;

use picarcade_breaker::{
    CallError, CircuitBreaker, Config, Deadline, FailureKind, Outcome, Retry, RetryBackoff, RetryBudget,
    RetryError, RetryHint,
};
use tokio::time::Instant;

use crate::support::{millis, secs};

fn generous(attempts: u32) -> Retry {
    Retry::new(attempts).unwrap().budget(RetryBudget::new(1.0, 100.0).unwrap())
}

fn always(_: &&str) -> RetryHint {
    RetryHint::Backoff
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_amplified_by_at_most_a_fifth_and_the_reserve() {
    const RESERVE: u32 = 10;
    for calls in [1_u32, 4, 5, 100, 1000] {
        let (retry, made) = (Retry::new(10).unwrap(), Cell::new(0_u32));
        for _ in 0..calls {
            let result = retry
                .run(Deadline::after(secs(3600)), always, |_| {
                    made.set(made.get() + 1);
                    async { Err::<(), _>("down") }
                })
                .await;
            assert_eq!(result, Err(RetryError::Failed("down")));
        }
        let extra = made.get() - calls;
        assert!(extra <= calls / 5 + RESERVE, "{extra} extra calls for {calls}");
        let usable = (calls / 5 + RESERVE).min(calls * 9);
        assert!(extra + 1 >= usable, "{extra} extra calls for {calls}: the budget is not used");
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_retries_the_first_call_of_a_program() {
    let attempts = async |retry: &Retry| {
        let made = Cell::new(0_u32);
        let _failed = retry
            .run(Deadline::after(secs(60)), always, |_| {
                made.set(made.get() + 1);
                async { Err::<(), _>("busy") }
            })
            .await;
        made.get()
    };
    let retry = Retry::default();
    assert_eq!(attempts(&retry).await, 3);
    // Clones share the budget: the reserve of ten, and two for the first ten calls.
    let mut made = 3;
    for _ in 1..10 {
        made += attempts(&retry.clone()).await;
    }
    assert_eq!(made, 10 + 10 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_is_retried() {
    let result = Retry::default()
        .run(Deadline::after(secs(5)), always, |attempt| async move {
            if attempt == 2 { Ok("fine") } else { Err("busy") }
        })
        .await;
    assert_eq!(result, Ok("fine"));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_retry_after_is_a_minimum() {
    let backoff = RetryBackoff::new(millis(100), secs(1)).unwrap();
    let times = std::cell::RefCell::new(Vec::new());
    let hint = |error: &u32| if *error == 1 { RetryHint::After(secs(7)) } else { RetryHint::Backoff };
    let _ = generous(3)
        .backoff(backoff)
        .run(Deadline::after(secs(60)), hint, |attempt| {
            times.borrow_mut().push(Instant::now());
            async move { Err::<(), _>(attempt) }
        })
        .await;
    let times = times.into_inner();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((millis(50)..=millis(101)).contains(&pauses[0]), "{pauses:?}");
    assert!((secs(7)..=millis(7001)).contains(&pauses[1]), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_not_started() {
    let (start, made) = (Instant::now(), Cell::new(0));
    let result = generous(3)
        .run(
            Deadline::after(secs(5)),
            |_: &&str| RetryHint::After(secs(5)),
            |_| {
                made.set(made.get() + 1);
                async { Err::<(), _>("busy") }
            },
        )
        .await;
    assert_eq!(result, Err(RetryError::Failed("busy")));
    assert_eq!((made.get(), start.elapsed()), (1, secs(0)));
}

#[tokio::test(start_paused = true)]
async fn attempts_end_at_the_deadline() {
    let start = Instant::now();
    let hang = || std::future::pending::<Result<(), &str>>();
    let result = generous(3).run(Deadline::after(secs(5)), always, |_| hang()).await;
    assert_eq!((result, start.elapsed()), (Err(RetryError::DeadlineExceeded), secs(5)));
    // An attempt that ended leaves its error, which says more than the deadline.
    let result = generous(3)
        .run(Deadline::after(secs(5)), always, |attempt| async move {
            if attempt == 0 { Err("busy") } else { hang().await }
        })
        .await;
    assert_eq!((result, start.elapsed()), (Err(RetryError::Failed("busy")), secs(10)));
}

#[tokio::test(start_paused = true)]
async fn the_hint_never_ends_retries_and_takes_nothing_from_the_budget() {
    let budget = RetryBudget::new(0.0, 5.0).unwrap();
    let retry = Retry::new(3).unwrap().budget(budget.clone());
    let _ =
        retry.run(Deadline::after(secs(5)), |(): &()| RetryHint::Never, |_| async { Err::<(), _>(()) }).await;
    assert_eq!(budget.available(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_not_retried() {
    let breaker = CircuitBreaker::new("open", Config::default().failure_threshold(1)).unwrap();
    let made = Cell::new(0);
    let hint = |error: &CallError<&str>| RetryHint::of_call(error, always);
    let result = generous(10)
        .run(Deadline::after(secs(500)), hint, |_| {
            made.set(made.get() + 1);
            breaker.call(async { Err::<(), _>("down") })
        })
        .await;
    // The first attempt opens the breaker, the second is rejected, and no third is made.
    assert!(matches!(result, Err(RetryError::Failed(CallError::Rejected(_)))), "{result:?}");
    assert_eq!(made.get(), 2);
}

#[test]
fn hints_follow_the_outcome() {
    let hint = |kind, retry_after| RetryHint::from(&Outcome::Failure { kind, retry_after });
    assert_eq!(hint(FailureKind::Overloaded, None), RetryHint::Backoff);
    assert_eq!(hint(FailureKind::RateLimited, Some(secs(3))), RetryHint::After(secs(3)));
    assert_eq!(hint(FailureKind::SpendLimit, Some(secs(3))), RetryHint::Never);
    assert_eq!(hint(FailureKind::Unusable, None), RetryHint::Never);
    assert_eq!(RetryHint::from(&Outcome::Neutral), RetryHint::Never);
    assert_eq!(Retry::new(0).unwrap_err().field(), Some("max_attempts"));
}
