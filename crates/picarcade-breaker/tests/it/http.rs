//! The classifiers of HTTP results.

use std::{error::Error, io, time::Duration};

use http::{Response, StatusCode};
use picarcade_breaker::{
    BoxedError, Bulkhead, CallError, CircuitBreaker, Classify, Config, DeadlineExceeded, FailureKind,
    Outcome, RetryHint, State,
    http::{Errors, Responses},
};

use crate::support::{breaker, secs};

fn response(status: u16, retry_after: Option<&str>) -> Result<Response<()>, io::Error> {
    let mut response = Response::builder().status(status);
    if let Some(value) = retry_after {
        response = response.header("retry-after", value);
    }
    Ok(response.body(()).unwrap())
}

fn timeout() -> Outcome {
    Outcome::failure(FailureKind::Timeout)
}

/// The outcome of an error behind another one.
fn wrapped(error: impl Into<Box<dyn Error + Send + Sync>>) -> Outcome {
    let error = CallError::Failed(BoxedError::from(error.into()));
    Errors.classify(&Err::<(), _>(error))
}

#[test]
fn a_response_is_judged_by_its_status_and_retry_after() {
    let of = |status, retry_after| Responses.classify(&response(status, retry_after));
    assert_eq!(of(204, None), Outcome::Success);
    assert_eq!(of(304, None), Outcome::Success);
    for mistake in [400, 401, 404, 422] {
        assert_eq!(of(mistake, None), Outcome::Neutral, "{mistake}");
    }
    let busy = |kind, seconds| Outcome::Failure { kind, retry_after: Some(secs(seconds)) };
    assert_eq!(of(429, Some("7")), busy(FailureKind::RateLimited, 7));
    assert_eq!(of(503, Some("30")), busy(FailureKind::Overloaded, 30));
    assert_eq!(of(503, Some("soon")), Outcome::failure(FailureKind::Overloaded));
    assert_eq!(of(500, None), Outcome::failure(FailureKind::Server));
}

#[test]
fn a_status_alone_is_judged_like_its_response() {
    for status in 100..1000 {
        let status = StatusCode::from_u16(status).unwrap();
        let alone = Responses.classify(&Ok::<_, io::Error>(status));
        assert_eq!(alone, Responses.classify(&response(status.as_u16(), None)), "{status}");
    }
}

#[test]
fn an_error_is_judged_by_its_cause() {
    assert_eq!(Responses.classify(&Err::<StatusCode, _>(DeadlineExceeded)), timeout());
    assert_eq!(wrapped(DeadlineExceeded), timeout());
    assert_eq!(wrapped(io::Error::from(io::ErrorKind::TimedOut)), timeout());
    assert_eq!(wrapped(io::Error::other("no route")), Outcome::failure(FailureKind::Connect));
    assert_eq!(wrapped("no route"), Outcome::failure(FailureKind::Connect));
    assert_eq!(Errors.classify(&Ok::<_, io::Error>(1)), Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn the_time_out_of_tokio_is_a_timeout() {
    let elapsed = tokio::time::timeout(secs(1), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(wrapped(elapsed), timeout());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_an_inner_guard_is_neutral_and_not_repeated() {
    let inner = breaker(Config::default());
    inner.force_open();
    let rejected = inner.call(async { Ok::<_, io::Error>(()) }).await;
    let outcome = Errors.classify(&rejected);
    assert_eq!(outcome, Outcome::Neutral);
    assert_eq!(RetryHint::from(&outcome), RetryHint::Never);

    let bulkhead = Bulkhead::new(1, 0).unwrap();
    let _only = bulkhead.try_acquire().unwrap();
    let deadline = tokio::time::Instant::now() + secs(1);
    assert_eq!(wrapped(bulkhead.acquire(deadline).await.unwrap_err()), Outcome::Neutral);
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_response_keeps_the_breaker_open() {
    let config = Config::default().failure_threshold(1).open_for(Duration::from_secs(1));
    let breaker = CircuitBreaker::new("api", config).unwrap();
    let busy = breaker.call_with(Responses, async { response(503, Some("90")) }).await.unwrap();
    assert_eq!(busy.status(), 503);
    tokio::time::advance(secs(89)).await;
    assert_eq!(breaker.state(), State::Open);
    tokio::time::advance(secs(2)).await;
    assert_eq!(breaker.state(), State::HalfOpen);
}
