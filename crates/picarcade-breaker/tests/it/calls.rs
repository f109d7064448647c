//! Guarded futures: classified, canceled at every await point, rejected without being polled.

use std::{
    cell::Cell,
    error::Error,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use picarcade_breaker::{CallError, Config, FailureKind, Outcome, Recorded, State, http::Exchange};

use crate::support::{advance, breaker, fail, open, ready, secs};

#[tokio::test(start_paused = true)]
async fn a_rejected_call_is_never_polled() {
    let breaker = open(Config::default());
    let polled = Cell::new(false);
    let result = breaker
        .call(async {
            polled.set(true);
            Ok::<_, ()>(())
        })
        .await;
    let Err(CallError::Rejected(rejected)) = result else { panic!("{result:?}") };
    assert!(!polled.get());
    assert_eq!(rejected.to_string(), "test is open: retry after 60s");
}

#[tokio::test(start_paused = true)]
async fn errors_pass_through_and_are_classified() {
    let breaker = breaker(Config::default().failure_threshold(2));
    let classify = |result: &Result<(), u16>| match result {
        Ok(()) => Outcome::Success,
        Err(status) => Exchange::status(*status).outcome(),
    };
    for status in [400, 401, 404, 422] {
        let error = breaker.call_with(classify, async { Err(status) }).await.unwrap_err();
        assert_eq!(error.into_failed(), Some(status));
    }
    assert_eq!((breaker.statistics().neutral, breaker.state()), (4, State::Closed));
    for status in [529, 500] {
        let _ = breaker.call_with(classify, async { Err(status) }).await;
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.statistics().last_failure, Some(FailureKind::Server));
}

#[tokio::test(start_paused = true)]
async fn errors_have_their_sources() {
    let breaker = breaker(Config::default().failure_threshold(1));
    let failed = breaker.call(async { Err::<(), _>(std::io::Error::other("boom")) }).await.unwrap_err();
    assert_eq!(failed.to_string(), "the call failed");
    assert_eq!(failed.source().unwrap().to_string(), "boom");
    let rejected = breaker.call(async { Ok::<(), std::io::Error>(()) }).await.unwrap_err();
    assert_eq!(rejected.source().unwrap().to_string(), "test is open: retry after 60s");
}

/// A future that is pending `points` times before it is ready.
async fn points(points: usize) -> Result<(), ()> {
    for _ in 0..points {
        let mut pending = true;
        poll_fn(|_| if std::mem::take(&mut pending) { Poll::Pending } else { Poll::Ready(()) }).await;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_at_any_await_point_releases_its_slot() {
    const POINTS: usize = 5;
    for stop in 0..=POINTS + 1 {
        let breaker = ready(Config::default().success_threshold(1)).await;
        {
            let mut call = pin!(breaker.call(points(POINTS)));
            for polls in 0..stop {
                let done = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
                assert_eq!(done, polls == POINTS);
                assert_eq!(breaker.is_available(), done, "a probe under way holds the only slot");
            }
        }
        assert!(breaker.is_available(), "the slot was not given back at await point {stop}");
        let expected = if stop > POINTS { State::Closed } else { State::HalfOpen };
        assert_eq!(breaker.state(), expected);
        let polled_and_cut = stop > 0 && stop <= POINTS;
        assert_eq!(breaker.statistics().neutral, u64::from(polled_and_cut));
    }
}

#[tokio::test(start_paused = true)]
async fn canceled_calls_do_not_open_the_breaker() {
    let breaker = breaker(Config::default().failure_threshold(1));
    for _ in 0..100 {
        let call = breaker.call(std::future::pending::<Result<(), ()>>());
        assert!(tokio::time::timeout(secs(1), call).await.is_err());
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.statistics().neutral, 100);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_call_releases_the_slot() {
    let breaker = ready(Config::default().success_threshold(1)).await;
    let task = {
        let breaker = breaker.clone();
        tokio::spawn(async move { breaker.call(async { panic!("on purpose") as Result<(), ()> }).await })
    };
    assert!(task.await.unwrap_err().is_panic());
    assert!(breaker.is_available());
}

#[tokio::test(start_paused = true)]
async fn owned_permits_outlive_their_handle() {
    let breaker = ready(Config::default()).await;
    let permit = breaker.try_acquire_owned().unwrap();
    assert!(permit.is_probe() && breaker.try_acquire_owned().is_err());
    let task = tokio::spawn(async move { permit.success() });
    assert_eq!(task.await.unwrap(), Recorded::Counted);
    drop(breaker.try_acquire_owned().unwrap());
    assert!(breaker.is_available());
    advance(secs(1)).await;
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}
