//! The duration of an opening: backoff, jitter and `Retry-After`; and the ramp after it.

use picarcade_breaker::{Backoff, CircuitBreaker, Config, Ramp, Recorded, State};

use crate::support::{advance, breaker, fail, fail_after, millis, ready, secs, succeed};

fn steady() -> Config {
    Config::default().backoff(Backoff { jitter: 0.0, ..Backoff::default() })
}

fn wait(breaker: &CircuitBreaker) -> std::time::Duration {
    breaker.try_acquire().unwrap_err().retry_after
}

#[tokio::test(start_paused = true)]
async fn failed_probes_double_the_open_time_up_to_its_maximum() {
    let backoff = Backoff { max: secs(200), jitter: 0.0, factor: 2.0 };
    let breaker = ready(Config::default().backoff(backoff).success_threshold(1)).await;
    for seconds in [120, 200, 200] {
        fail(&breaker);
        assert_eq!(wait(&breaker), secs(seconds));
        advance(secs(seconds)).await;
    }
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(wait(&breaker), secs(60), "the growth outlived the closing");
}

#[tokio::test(start_paused = true)]
async fn jitter_stays_in_its_bounds_and_differs() {
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let breaker = ready(Config::default()).await;
        fail(&breaker);
        let wait = wait(&breaker);
        assert!((secs(120)..=secs(132)).contains(&wait), "{wait:?}");
        waits.insert(wait);
    }
    assert!(waits.len() > 40, "fifty breakers would probe in step");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_a_minimum() {
    let longer = breaker(steady().failure_threshold(1));
    fail_after(&longer, secs(300));
    assert_eq!(wait(&longer), secs(300));
    let shorter = breaker(steady().failure_threshold(1));
    fail_after(&shorter, secs(3));
    assert_eq!(wait(&shorter), secs(60));
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_an_earlier_failure_is_remembered_as_a_moment() {
    let breaker = breaker(steady().failure_threshold(2));
    fail_after(&breaker, secs(300));
    assert_eq!(breaker.state(), State::Closed);
    advance(secs(100)).await;
    fail(&breaker);
    assert_eq!(wait(&breaker), secs(200));
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_probe_counts() {
    let breaker = ready(steady()).await;
    fail_after(&breaker, secs(1000));
    assert_eq!(wait(&breaker), secs(1000));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_bounded() {
    let breaker = breaker(steady().failure_threshold(1).retry_after_max(secs(600)));
    fail_after(&breaker, std::time::Duration::MAX);
    assert_eq!(wait(&breaker), secs(600));
}

#[tokio::test(start_paused = true)]
async fn a_call_after_the_stated_time_is_admitted() {
    let breaker = ready(Config::default()).await;
    fail(&breaker);
    advance(wait(&breaker)).await;
    assert!(breaker.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_ramp_admits_a_growing_share_and_ends() {
    let ramp = Ramp { over: secs(10), from: 0.1 };
    let breaker = ready(steady().success_threshold(1).ramp(ramp)).await;
    succeed(&breaker);
    let mut parts = Vec::new();
    for _ in 0..10 {
        let passed = (0..100)
            .filter(|_| breaker.try_acquire().is_ok_and(|permit| permit.success() == Recorded::Counted))
            .count();
        parts.push(passed);
        assert_eq!(breaker.state(), State::Closed);
        advance(secs(1)).await;
    }
    assert!((10..=12).contains(&parts[0]), "{parts:?}");
    assert!(parts.windows(2).all(|pair| pair[0] < pair[1]), "{parts:?}");
    assert_eq!((0..100).filter(|_| breaker.try_acquire().is_ok()).count(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_call_admitted_on_the_ramp_counts_after_it() {
    let ramp = Ramp { over: secs(10), from: 0.1 };
    let breaker = ready(steady().success_threshold(1).ramp(ramp)).await;
    succeed(&breaker);
    let early = breaker.try_acquire().unwrap();
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!((rejected.state, rejected.retry_after), (State::Closed, secs(10)));
    advance(rejected.retry_after).await;
    assert!(breaker.try_acquire().unwrap().success() == Recorded::Counted);
    assert!(early.failure() == Recorded::Counted);
    assert_eq!(breaker.state(), State::Open, "one failure is the threshold here");
}

#[tokio::test(start_paused = true)]
async fn the_ramp_does_not_hide_failures() {
    let ramp = Ramp { over: secs(10), from: 0.5 };
    let breaker = ready(steady().success_threshold(1).ramp(ramp)).await;
    succeed(&breaker);
    advance(millis(10)).await;
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}
