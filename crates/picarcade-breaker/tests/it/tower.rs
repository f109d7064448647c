//! The layer next to tower's own: time-outs and buffers on both sides, and errors that keep their
//! sources through all of them.

use std::{error::Error, future::pending, io};

use picarcade_breaker::{
    CallError, CircuitBreaker, CircuitBreakerLayer, Config, Deadline, FailureKind, Rejected, State,
};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn, timeout::error::Elapsed};

use crate::support::{breaker, open, secs};

const HANGS: u32 = 20;

fn default_policy() -> CircuitBreaker {
    breaker(Config::default().open_for(secs(3600)))
}

fn hang() -> impl Service<u8, Response = u8, Error = io::Error, Future: Send> + Clone + Send + 'static {
    service_fn(|_: u8| pending::<io::Result<u8>>())
}

fn broken() -> impl Service<u8, Response = u8, Error = io::Error, Future: Send> + Clone + Send + 'static {
    service_fn(|_: u8| async { Err::<u8, _>(io::Error::other("no route")) })
}

/// The first error of type `E` in the chain.
fn find<E: Error + 'static>(error: &BoxError) -> Option<&E> {
    let mut error: &(dyn Error + 'static) = &**error;
    loop {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => error = error.source()?,
        }
    }
}

async fn call<S>(service: S) -> BoxError
where
    S: Service<u8, Response = u8, Error: Into<BoxError>>,
{
    service.oneshot(1).await.expect_err("every service here fails").into()
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_the_breaker_opens_it() {
    let breaker = default_policy();
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .timeout(secs(5))
        .service(hang());
    for _ in 0..5 {
        assert!(find::<Elapsed>(&call(service.clone()).await).is_some());
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(find::<Rejected>(&call(service).await).expect("rejected").state, State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_the_breaker_opens_it_with_hung_after() {
    let breaker = breaker(Config::default().open_for(secs(3600)).hung_after(secs(5)));
    let service = ServiceBuilder::new()
        .timeout(secs(5))
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .service(hang());
    for _ in 0..HANGS {
        let _failed = call(service.clone()).await;
    }
    let statistics = breaker.statistics();
    assert_eq!((statistics.failure, statistics.neutral, statistics.rejected), (5, 0, 15));
    assert_eq!((statistics.state, statistics.last_failure), (State::Open, Some(FailureKind::Timeout)));
}

#[tokio::test(start_paused = true)]
async fn callers_that_go_away_before_that_time_are_neutral() {
    let breaker = breaker(Config::default().hung_after(secs(5)));
    let service = CircuitBreakerLayer::new(breaker.clone()).layer(hang());
    for _ in 0..HANGS {
        let left = tokio::time::timeout(secs(4), service.clone().oneshot(1)).await;
        assert!(left.is_err());
    }
    assert_eq!((breaker.statistics().failure, breaker.statistics().neutral), (0, u64::from(HANGS)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_around_the_layers_opens_the_breaker() {
    let breaker = default_policy();
    let service = ServiceBuilder::new()
        .timeout(secs(60))
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .timeout(secs(60))
        .service(hang());
    for _ in 0..HANGS {
        let _ended = Deadline::after(secs(5)).run(service.clone().oneshot(1)).await;
    }
    let statistics = breaker.statistics();
    assert_eq!((statistics.state, statistics.neutral), (State::Open, 0));
}

#[tokio::test(start_paused = true)]
async fn rejections_and_causes_are_found_through_timeouts_and_buffers_on_both_sides() {
    let stack = |breaker: CircuitBreaker| {
        ServiceBuilder::new()
            .buffer(4)
            .timeout(secs(5))
            .layer(CircuitBreakerLayer::new(breaker))
            .timeout(secs(5))
            .buffer(4)
            .service(broken())
    };
    let rejected = call(stack(open(Config::default()))).await;
    assert_eq!(find::<Rejected>(&rejected).expect("a rejection").name.as_str(), "test");
    let failed = call(stack(default_policy())).await;
    assert_eq!(find::<io::Error>(&failed).expect("the cause").to_string(), "no route");
    assert!(find::<Rejected>(&failed).is_none());
}

#[tokio::test(start_paused = true)]
async fn two_breakers_one_behind_the_other_keep_their_sources() {
    let stack = |outer: CircuitBreaker, inner: CircuitBreaker| {
        ServiceBuilder::new()
            .layer(CircuitBreakerLayer::new(outer))
            .layer(CircuitBreakerLayer::new(inner))
            .service(broken())
    };
    let failed = call(stack(default_policy(), default_policy())).await;
    assert!(find::<io::Error>(&failed).is_some());
    let rejected = call(stack(default_policy(), open(Config::default()))).await;
    assert!(find::<Rejected>(&rejected).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_layer_distinguishes_rejection_and_failure() {
    let service = CircuitBreakerLayer::new(default_policy()).layer(broken());
    let Err(CallError::Failed(cause)) = service.oneshot(1).await else { panic!("it fails") };
    assert!(cause.is::<io::Error>());
    assert!(cause.into_inner().downcast::<io::Error>().is_ok());
}
