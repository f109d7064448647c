//! The retry layer: what is repeated, when it ends, and next to a breaker.

use std::{
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use picarcade_breaker::{
    CircuitBreakerLayer, Config, FailureKind, Outcome, Rejected, Retry, RetryBackoff, RetryBudget,
    RetryError, RetryLayer, State, http::Errors,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{breaker, millis, secs};

type Reply = Result<u16, io::Error>;

fn judge(result: &Reply) -> Outcome {
    match result {
        Ok(200) => Outcome::Success,
        Ok(503) => Outcome::Failure { kind: FailureKind::Overloaded, retry_after: Some(secs(2)) },
        Ok(_) => Outcome::Neutral,
        Err(_) => Outcome::failure(FailureKind::Connect),
    }
}

/// A service with a script of replies; the last one is repeated.
#[derive(Clone)]
struct Script {
    replies: Arc<[Option<u16>]>,
    calls: Arc<AtomicU32>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// `None` is an error.
    fn new(replies: impl Into<Arc<[Option<u16>]>>) -> Self {
        Self { replies: replies.into(), calls: Arc::default(), requests: Arc::default() }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn service(
        &self,
    ) -> impl Service<String, Response = u16, Error = io::Error, Future: Send> + Clone + Send + 'static {
        let script = self.clone();
        service_fn(move |request: String| {
            let call = script.calls.fetch_add(1, Ordering::SeqCst) as usize;
            script.requests.lock().unwrap().push(request);
            let reply = script.replies.get(call).or(script.replies.last()).copied().flatten();
            async move { reply.ok_or_else(|| io::Error::other("no route")) }
        })
    }
}

fn retry(attempts: u32) -> Retry {
    Retry::new(attempts).unwrap().backoff(RetryBackoff::new(millis(100), millis(100)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn failures_are_repeated_with_the_same_request_until_one_succeeds() {
    let script = Script::new([None, None, Some(200)]);
    let service = RetryLayer::new(retry(3), secs(60), judge).layer(script.service());
    assert_eq!(service.oneshot("hello".to_owned()).await.unwrap(), 200);
    assert_eq!(*script.requests.lock().unwrap(), ["hello", "hello", "hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_response_is_repeated_after_its_retry_after_and_the_last_one_is_returned() {
    let script = Script::new([Some(503)]);
    let service = RetryLayer::new(retry(3), secs(60), judge).layer(script.service());
    let start = Instant::now();
    assert_eq!(service.oneshot(String::new()).await.unwrap(), 503);
    assert_eq!((script.calls(), start.elapsed()), (3, secs(4)));
}

#[tokio::test(start_paused = true)]
async fn neutral_results_are_not_repeated() {
    let script = Script::new([Some(404)]);
    let service = RetryLayer::new(retry(3), secs(60), judge).layer(script.service());
    assert_eq!(service.oneshot(String::new()).await.unwrap(), 404);
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_total_time_ends_attempts_and_pauses() {
    let hang = service_fn(|_: String| pending::<Reply>());
    let service = RetryLayer::new(retry(3), secs(5), judge).layer(hang);
    let start = Instant::now();
    let error = service.oneshot(String::new()).await.unwrap_err();
    assert!(matches!(error, RetryError::DeadlineExceeded), "{error:?}");
    assert_eq!(start.elapsed(), secs(5));

    let script = Script::new([Some(503)]);
    let service = RetryLayer::new(retry(3), secs(3), judge).layer(script.service());
    assert_eq!(service.oneshot(String::new()).await.unwrap(), 503);
    assert_eq!(script.calls(), 2, "the pause before the third attempt would end after the total time");
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_the_budget() {
    let budget = RetryBudget::new(0.0, 3.0).unwrap();
    let layer = RetryLayer::new(retry(3).budget(budget), secs(60), judge);
    let script = Script::new([None]);
    for _ in 0..10 {
        let error = layer.layer(script.service()).oneshot(String::new()).await.unwrap_err();
        assert_eq!(format!("{:#}", anyhow::Error::from(error)), "the last attempt failed: no route");
    }
    assert_eq!(script.calls(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_inside_counts_each_attempt_and_its_rejection_is_not_repeated() {
    let breaker = breaker(Config::default().failure_threshold(2).open_for(secs(3600)));
    let script = Script::new([None]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(retry(5), secs(60), Errors))
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .service(script.service());
    let error = service.oneshot(String::new()).await.unwrap_err();
    let error = anyhow::Error::from(error);
    assert!(error.root_cause().is::<Rejected>(), "{error:?}");
    assert_eq!((script.calls(), breaker.state()), (2, State::Open));
    assert_eq!(breaker.statistics().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_total_time_ends_is_a_timeout_for_the_breaker_inside() {
    let breaker = breaker(Config::default());
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(retry(3), secs(5), Errors))
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .service(service_fn(|_: String| pending::<Reply>()));
    let _ended = service.oneshot(String::new()).await;
    assert_eq!(breaker.statistics().last_failure, Some(FailureKind::Timeout));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_waits_for_the_readiness_of_its_service() {
    let script = Script::new([None, None, Some(200)]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(retry(3), secs(60), Errors))
        .concurrency_limit(1)
        .service(script.service());
    assert_eq!(service.oneshot(String::new()).await.unwrap(), 200);
    assert_eq!(script.calls(), 3);
}
