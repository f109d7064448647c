//! Callers that leave, wait together or get late answers, with a store whose answers the test
//! delays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use picarcade_ratelimit::{Demand, Leases, Limit, Limiter, Scope, Subjects, Window};
use picarcade_testkit::stay_within_one_day;

use crate::remote::Remote;
use crate::setup::{ada, passes, secs, settle_down, sliding, used};

fn limiter(gate: &Arc<Remote>, limits: impl IntoIterator<Item = Limit>, leases: Option<Leases>) -> Limiter {
    let mut builder = Limiter::builder().limits(limits).store(gate.store());
    if let Some(leases) = leases {
        builder = builder.leases(leases);
    }
    builder.build().unwrap()
}

fn all(limit: u64, window: Window) -> Limit {
    Limit::requests(Scope::Global, limit, window).named("all")
}

#[tokio::test(start_paused = true)]
async fn dollars_of_a_caller_that_left_are_released() {
    let gate = Remote::new();
    let limiter = limiter(&gate, [Limit::cost(Scope::User, 100, sliding(60))], None);
    gate.reserved.send_replace(false);
    let call = limiter.clone();
    let left = tokio::spawn(async move { call.acquire(&ada(), Demand::cost_micros(70)).await.map(drop) });
    settle_down().await;
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (70, 70), "the store has decided");
    left.abort();
    settle_down().await;
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_denial_does_not_put_requests_into_a_newer_chunk() {
    stay_within_one_day();
    let gate = Remote::new();
    let limits = [all(1000, sliding(60)), Limit::requests(Scope::User, 40, Window::UtcDay)];
    let limiter = limiter(&gate, limits, Some(Leases::of(["all"]).largest(8)));
    let slow = Subjects::default().user("slow");
    assert!(passes(&limiter, &slow, 40).await, "the next request of this user is denied");
    for _ in 0..10 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    gate.rest.send_replace(false);
    let late = tokio::spawn({
        let limiter = limiter.clone();
        async move { passes(&limiter, &Subjects::default().user("slow"), 1).await }
    });
    settle_down().await;
    // The bucket ends, and with it the chunk that the late request took from.
    tokio::time::advance(secs(2)).await;
    settle_down().await;
    let before = gate.debited();
    let first = tokio::spawn({
        let limiter = limiter.clone();
        async move { passes(&limiter, &ada(), 1).await }
    });
    settle_down().await;
    gate.rest.send_replace(true);
    assert!(!late.await.unwrap());
    assert!(first.await.unwrap());
    let mut admitted = 1;
    while passes(&limiter, &ada(), 1).await && admitted < 20 {
        admitted += 1;
        let debited = gate.debited() - before;
        assert!(admitted <= debited, "{admitted} admitted of {debited} debited");
    }
    assert_eq!(admitted, 20);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_is_kept_when_the_caller_of_its_debit_leaves() {
    let gate = Remote::new();
    let limiter = limiter(&gate, [all(1000, sliding(3600))], Some(Leases::of(["all"]).largest(16)));
    for _ in 0..10 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    tokio::time::advance(secs(11)).await;
    settle_down().await;
    assert_eq!(used(&limiter, &ada(), "all").await.0, 10);
    gate.reserved.send_replace(false);
    let call = limiter.clone();
    let left = tokio::spawn(async move { passes(&call, &ada(), 1).await });
    settle_down().await;
    left.abort();
    settle_down().await;
    gate.reserved.send_replace(true);
    settle_down().await;
    let asked = gate.asked();
    assert!(passes(&limiter, &ada(), 1).await);
    assert_eq!(gate.asked(), asked, "the chunk serves the next request");
    tokio::time::advance(secs(11)).await;
    settle_down().await;
    assert_eq!(used(&limiter, &ada(), "all").await.0, 11, "the unused part went back without a request");
}

#[tokio::test(start_paused = true)]
async fn one_refusal_answers_all_waiting_requests() {
    let gate = Remote::new();
    let limiter = limiter(&gate, [all(5, Window::UtcDay)], Some(Leases::of(["all"]).largest(1)));
    for away in [false, true] {
        if !away {
            assert!(passes(&limiter, &ada(), 5).await);
        }
        gate.unavailable.store(away, Ordering::Relaxed);
        gate.reserved.send_replace(false);
        let asked = gate.asked();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let limiter = limiter.clone();
            waiting.spawn(async move {
                limiter.acquire(&ada(), Demand::requests(1)).await.unwrap().report().local
            });
        }
        settle_down().await;
        gate.reserved.send_replace(true);
        let local = waiting.join_all().await.into_iter().filter(|local| *local).count();
        assert_eq!(local, if away { 100 } else { 0 });
        assert!(gate.asked() - asked <= 2, "{} questions for one answer", gate.asked() - asked);
    }
}
