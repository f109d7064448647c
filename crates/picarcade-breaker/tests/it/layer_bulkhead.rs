//! The bulkhead layer: concurrency, the queue and its end, and readiness.

use std::{
    future::{Future, pending},
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use picarcade_breaker::{BoxedError, Bulkhead, BulkheadError, BulkheadLayer, FullReason};
use tokio::sync::Notify;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::secs;

type Error = BulkheadError<BoxedError>;

/// A service whose calls last until they are released, and the number of running calls.
#[derive(Clone, Default)]
struct Slow {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    release: Arc<Notify>,
}

impl Slow {
    fn service(
        &self,
    ) -> impl Service<(), Response = (), Error = io::Error, Future: Future + Send> + Clone + Send + 'static
    {
        let slow = self.clone();
        service_fn(move |()| {
            let slow = slow.clone();
            async move {
                let running = slow.running.fetch_add(1, Ordering::SeqCst) + 1;
                slow.most.fetch_max(running, Ordering::SeqCst);
                slow.release.notified().await;
                slow.running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
    }
}

fn reason(error: Error) -> FullReason {
    match error {
        BulkheadError::Full(full) => full.reason,
        BulkheadError::Failed(error) => panic!("it was called: {error}"),
    }
}

async fn turn() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_the_limit_runs_and_the_rest_waits_in_the_queue_or_is_rejected() {
    let slow = Slow::default();
    let bulkhead = Bulkhead::new(2, 3).unwrap();
    let service = BulkheadLayer::new(bulkhead.clone(), secs(60)).layer(slow.service());
    let calls: Vec<_> = (0..6).map(|_| tokio::spawn(service.clone().oneshot(()))).collect();
    turn().await;
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (2, 3));
    for _ in 0..5 {
        slow.release.notify_one();
        turn().await;
    }
    let (mut served, mut rejected) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(()) => served += 1,
            Err(error) => {
                assert_eq!(reason(error), FullReason::QueueFull);
                rejected += 1;
            }
        }
    }
    assert_eq!((served, rejected, slow.most.load(Ordering::SeqCst)), (5, 1, 2));
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_leaves_the_queue_after_its_longest_wait() {
    let bulkhead = Bulkhead::new(1, 1).unwrap();
    let hang = service_fn(|()| pending::<io::Result<()>>());
    let service = BulkheadLayer::new(bulkhead.clone(), secs(5)).layer(hang);
    let running = tokio::spawn(service.clone().oneshot(()));
    turn().await;
    assert_eq!(reason(service.clone().oneshot(()).await.unwrap_err()), FullReason::Deadline);
    running.abort();
    turn().await;
    assert_eq!(bulkhead.in_use(), 0, "a dropped call frees its place");
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_a_call_runs_if_there_is_room() {
    let service = BulkheadLayer::new(Bulkhead::new(1, 0).unwrap(), secs(0))
        .layer(service_fn(|word: &'static str| async move { Ok::<_, io::Error>(word) }));
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot("hello").await.unwrap(), "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_service_and_rejections_are_sources() {
    let broken = service_fn(|()| async { Err::<(), _>(io::Error::other("no route")) });
    let bulkhead = Bulkhead::new(1, 0).unwrap();
    let service = ServiceBuilder::new()
        .timeout(secs(5))
        .layer(BulkheadLayer::new(bulkhead.clone(), secs(1)))
        .timeout(secs(5))
        .service(broken);
    let failed = service.clone().oneshot(()).await.unwrap_err();
    assert_eq!(format!("{:#}", anyhow::Error::from_boxed(failed)), "the call failed: no route");
    let _only = bulkhead.try_acquire().unwrap();
    let full = anyhow::Error::from_boxed(service.oneshot(()).await.unwrap_err());
    assert_eq!(full.root_cause().to_string(), "the queue is full, with 1 calls running and 0 waiting");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_holds_no_place_of_the_inner_service() {
    let slow = Slow::default();
    let service = ServiceBuilder::new()
        .layer(BulkheadLayer::new(Bulkhead::new(1, 1).unwrap(), secs(60)))
        .concurrency_limit(1)
        .service(slow.service());
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(service.clone().oneshot(()))).collect();
    turn().await;
    for call in calls {
        slow.release.notify_one();
        call.await.unwrap().unwrap();
        turn().await;
    }
}
