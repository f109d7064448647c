//! The bulkhead: a bounded number of calls, an ordered and bounded queue, deadlines, and no slot
//! lost at any await point.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use picarcade_breaker::{Bulkhead, BulkheadFull, FullReason};
use tokio::time::Instant;

use crate::support::{advance, secs};

fn in_a_minute() -> Instant {
    Instant::now() + secs(60)
}

#[test]
fn an_invalid_size_is_an_error_with_its_argument() {
    assert_eq!(Bulkhead::new(0, 1).unwrap_err().field(), Some("max_concurrent"));
    assert_eq!(Bulkhead::new(1, usize::MAX).unwrap_err().field(), Some("max_queued"));
    assert!(Bulkhead::new(1, 0).is_ok());
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_queue_and_calls_beyond_the_queue_are_rejected() {
    let bulkhead = Bulkhead::new(2, 3).unwrap();
    let running =
        [bulkhead.acquire(in_a_minute()).await.unwrap(), bulkhead.acquire(in_a_minute()).await.unwrap()];
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let bulkhead = bulkhead.clone();
            tokio::spawn(async move { bulkhead.acquire(in_a_minute()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (2, 3));
    let start = Instant::now();
    let full = bulkhead.acquire(in_a_minute()).await.unwrap_err();
    assert_eq!((full.reason, full.in_use, full.queued), (FullReason::QueueFull, 2, 3));
    assert_eq!(start.elapsed(), secs(0));
    drop(running);
    for task in waiting {
        assert!(task.await.unwrap().is_ok());
    }
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_first_in_first_out() {
    let bulkhead = Bulkhead::new(1, 10).unwrap();
    let order = Arc::new(AtomicUsize::new(0));
    let first = bulkhead.try_acquire().unwrap();
    let mut tasks = Vec::new();
    for place in 0..10 {
        let (queue, order) = (bulkhead.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let _permit = queue.acquire(in_a_minute()).await.unwrap();
            assert_eq!(order.fetch_add(1, Ordering::Relaxed), place);
        }));
        tokio::task::yield_now().await;
        assert_eq!(bulkhead.queued(), place + 1);
    }
    drop(first);
    assert!(bulkhead.try_acquire().is_none(), "a newcomer overtook the queue");
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_beyond_the_deadline() {
    let bulkhead = Bulkhead::new(1, 10).unwrap();
    let _busy = bulkhead.try_acquire().unwrap();
    let start = Instant::now();
    let BulkheadFull { reason, .. } = bulkhead.acquire(start + secs(5)).await.unwrap_err();
    assert_eq!((reason, start.elapsed()), (FullReason::Deadline, secs(5)));
    assert_eq!(bulkhead.queued(), 0);
    let late = bulkhead.acquire(start).await.unwrap_err();
    assert_eq!((late.reason, start.elapsed()), (FullReason::Deadline, secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_call_after_its_deadline_is_rejected_even_if_there_is_room() {
    let bulkhead = Bulkhead::new(1, 1).unwrap();
    let deadline = Instant::now() + secs(1);
    advance(secs(1)).await;
    assert_eq!(bulkhead.acquire(deadline).await.unwrap_err().reason, FullReason::Deadline);
}

/// Drops the future before the first poll, in the queue, and after it got a permit but before the
/// next poll.
#[tokio::test(start_paused = true)]
async fn a_dropped_future_holds_no_slot() {
    let bulkhead = Bulkhead::new(1, 1).unwrap();
    for stop in 0..3 {
        let mut busy = bulkhead.try_acquire();
        {
            let mut waiting = pin!(bulkhead.acquire(in_a_minute()));
            if stop >= 1 {
                let pending = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
                assert!(pending);
                assert_eq!(bulkhead.queued(), 1);
            }
            if stop == 2 {
                busy = None;
                assert_eq!(bulkhead.in_use(), 1, "the permit went to the waiting one");
            }
        }
        drop(busy);
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0), "point {stop}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_calls_never_exceed_the_limit() {
    let bulkhead = Bulkhead::new(7, 2000).unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let (bulkhead, running) = (bulkhead.clone(), Arc::clone(&running));
            tokio::spawn(async move {
                let _permit = bulkhead.acquire(in_a_minute()).await.unwrap();
                assert!(running.fetch_add(1, Ordering::SeqCst) < 7);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}
