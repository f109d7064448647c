//! The layer keeps the rules of tower: readiness, clones, and a call of the same service that was
//! polled.

use std::{
    future::{Ready, poll_fn, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use picarcade_breaker::{CallError, CircuitBreakerLayer, Config, FailureKind, Outcome, State};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{advance, breaker, open, ready as half_open, secs};

/// A service that panics if it is called without being ready. It is unready for its first polls,
/// and so is a clone.
#[derive(Debug)]
struct Strict {
    polls_left: usize,
    is_ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Strict {
    fn new(polls: usize) -> Self {
        Self { polls_left: polls, is_ready: false, calls: Arc::default() }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { polls_left: 0, is_ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Result<u32, &'static str>> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.polls_left > 0 {
            self.polls_left -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Result<u32, &'static str>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without being ready");
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(request)
    }
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_inner_service_and_calls_the_one_that_was_ready() {
    let mut service = CircuitBreakerLayer::new(breaker(Config::default())).layer(Strict::new(3));
    for number in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(Ok(number)).await.unwrap(), number);
    }
    assert_eq!(service.breaker().statistics().success, 3);
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_breaker_and_need_their_own_readiness() {
    let strict = Strict::new(0);
    let mut first = CircuitBreakerLayer::new(breaker(Config::default().failure_threshold(1))).layer(strict);
    first.ready().await.unwrap();
    let second = first.clone();
    let failed = second.oneshot(Err("down")).await.unwrap_err();
    assert_eq!(failed.into_failed().unwrap().to_string(), "down");
    // The first service is still ready, and its call is rejected without reaching it.
    let rejected = first.call(Ok(1)).await.unwrap_err();
    assert!(matches!(rejected, CallError::Rejected(rejected) if rejected.state == State::Open));
    assert_eq!(first.inner().calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_ready_and_rejects_at_once() {
    let mut service = CircuitBreakerLayer::new(open(Config::default())).layer(Strict::new(0));
    let polled = poll_fn(|cx| Poll::Ready(service.poll_ready(cx))).await;
    assert!(matches!(polled, Poll::Ready(Ok(()))), "an open breaker is not a broken service");
    let rejected = service.call(Ok(1)).await.unwrap_err();
    assert!(matches!(rejected, CallError::Rejected(rejected) if rejected.retry_after == secs(60)));
    // The unused readiness remains.
    advance(secs(60)).await;
    assert_eq!(service.call(Ok(1)).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn being_ready_takes_no_probe_slot() {
    let layer = CircuitBreakerLayer::new(half_open(Config::default()).await);
    let (mut idle, mut busy) = (layer.layer(Strict::new(0)), layer.layer(Strict::new(0)));
    idle.ready().await.unwrap();
    assert_eq!(busy.ready().await.unwrap().call(Ok(1)).await.unwrap(), 1);
    drop(idle);
    assert!(busy.breaker().is_available());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_response_releases_its_slot() {
    let breaker = half_open(Config::default()).await;
    let hang = service_fn(|(): ()| std::future::pending::<Result<(), std::io::Error>>());
    let mut service = CircuitBreakerLayer::new(breaker.clone()).layer(hang);
    // Never polled, and polled once.
    drop(service.ready().await.unwrap().call(()));
    assert!(breaker.is_available());
    assert!(tokio::time::timeout(secs(1), service.ready().await.unwrap().call(())).await.is_err());
    assert!(breaker.is_available());
    assert_eq!((breaker.statistics().neutral, breaker.state()), (2, State::HalfOpen));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_judges_results() {
    let breaker = breaker(Config::default().failure_threshold(1));
    let layer =
        CircuitBreakerLayer::new(breaker.clone()).classifier(|result: &Result<u32, &str>| match result {
            Ok(503) => Outcome::failure(FailureKind::Overloaded),
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Neutral,
        });
    let service = ServiceBuilder::new().layer(layer).service(Strict::new(0));
    assert!(service.clone().oneshot(Err("mine")).await.is_err());
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(service.oneshot(Ok(503)).await.unwrap(), 503);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_inner_readiness_is_returned() {
    #[derive(Clone, Debug)]
    struct Broken;
    impl Service<()> for Broken {
        type Response = ();
        type Error = &'static str;
        type Future = Ready<Result<(), &'static str>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Err("broken"))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("a broken service was called")
        }
    }
    let mut service = CircuitBreakerLayer::new(breaker(Config::default())).layer(Broken);
    let broken = service.ready().await.unwrap_err();
    assert_eq!(broken.into_failed().unwrap().to_string(), "broken");
}
