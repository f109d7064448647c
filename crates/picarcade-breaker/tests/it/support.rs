//! Fixtures and abbreviations.

use std::time::Duration;

use picarcade_breaker::{CircuitBreaker, Config, FailureKind, Outcome, Recorded, State};

pub fn breaker(config: Config) -> CircuitBreaker {
    CircuitBreaker::new("test", config).expect("a sound configuration")
}

/// Returns a breaker that one failure opened.
pub fn open(config: Config) -> CircuitBreaker {
    let breaker = breaker(config.failure_threshold(1));
    assert_eq!(fail(&breaker), Recorded::Counted);
    assert_eq!(breaker.state(), State::Open);
    breaker
}

/// Returns a breaker whose next call is a probe.
pub async fn ready(config: Config) -> CircuitBreaker {
    let breaker = open(config);
    advance(breaker.config().open_for).await;
    breaker
}

pub fn succeed(breaker: &CircuitBreaker) -> Recorded {
    breaker.try_acquire().expect("admitted").success()
}

pub fn fail(breaker: &CircuitBreaker) -> Recorded {
    breaker.try_acquire().expect("admitted").failure()
}

pub fn fail_after(breaker: &CircuitBreaker, retry_after: Duration) -> Recorded {
    let outcome = Outcome::Failure { kind: FailureKind::RateLimited, retry_after: Some(retry_after) };
    breaker.try_acquire().expect("admitted").record(outcome)
}

pub async fn advance(time: Duration) {
    tokio::time::advance(time).await;
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
