//! Callers that leave, wait together or are answered late, by a store whose answers the test holds back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use picarcade_ratelimit::{
    Ask, Error, Leases, Limit, Limiter, MemoryStore, Plan, Report, ReservationId, Scope, Settled, Store,
    Subjects, Verdict, Window,
};
use tokio::sync::watch;

use crate::setup::{ada, passes, secs, sliding, used};

/// Decides at once and answers when its gate is open: one for what is reserved or leased, one for the rest.
#[derive(Debug)]
struct Gate {
    store: MemoryStore,
    reserved: watch::Sender<bool>,
    rest: watch::Sender<bool>,
    away: AtomicBool,
    asked: AtomicU64,
    debited: AtomicU64,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(1000, 1000),
            reserved: watch::Sender::new(true),
            rest: watch::Sender::new(true),
            away: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            debited: AtomicU64::new(0),
        })
    }

    fn limiter(self: &Arc<Self>, limits: impl IntoIterator<Item = Limit>, leases: Option<Leases>) -> Limiter {
        let store: Arc<dyn Store> = Arc::<Self>::clone(self);
        let mut builder = Limiter::builder().limits(limits).store(store);
        if let Some(leases) = leases {
            builder = builder.leases(leases);
        }
        builder.build().unwrap()
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Store for Gate {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let away = self.away.load(Ordering::Relaxed);
        let answer = if away {
            Err(Error::Unavailable { reason: "away".to_owned() })
        } else {
            self.store.acquire(ask).await
        };
        let gate = if ask.reservation.is_some() { &self.reserved } else { &self.rest };
        gate.subscribe().wait_for(|open| *open).await.unwrap();
        if ask.reservation.is_some() && matches!(answer, Ok(Verdict::Admitted(_))) {
            self.debited.fetch_add(ask.requests, Ordering::Relaxed);
        }
        answer
    }

    async fn settle(&self, plan: &Plan, id: ReservationId, actual: u64) -> Result<Settled, Error> {
        self.store.settle(plan, id, actual).await
    }

    async fn release(&self, plan: &Plan, id: ReservationId) -> Result<Settled, Error> {
        self.store.release(plan, id).await
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        self.store.usage(plan, subjects).await
    }
}

/// Lets every task that can run do so.
async fn settle_down() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn all(limit: u64, window: Window) -> Limit {
    Limit::requests(Scope::Global, limit, window).named("all")
}

#[tokio::test(start_paused = true)]
async fn dollars_of_a_caller_that_left_are_given_back() {
    let gate = Gate::new();
    let limiter = gate.limiter([Limit::cost(Scope::User, 100, sliding(60))], None);
    gate.reserved.send_replace(false);
    let call = limiter.clone();
    let left = tokio::spawn(async move { call.acquire(&ada(), 0, 70).await.map(drop) });
    settle_down().await;
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (70, 70), "the store has decided");
    left.abort();
    settle_down().await;
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_denial_gives_nothing_to_a_newer_chunk() {
    let gate = Gate::new();
    let limits = [all(1000, sliding(60)), Limit::requests(Scope::User, 40, Window::UtcDay)];
    let limiter = gate.limiter(limits, Some(Leases::of(["all"]).largest(8)));
    let slow = Subjects::default().user("slow");
    assert!(passes(&limiter, &slow, 40).await, "the next of this user is denied");
    for _ in 0..10 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    gate.rest.send_replace(false);
    let late = tokio::spawn({
        let limiter = limiter.clone();
        async move { passes(&limiter, &Subjects::default().user("slow"), 1).await }
    });
    settle_down().await;
    // Its bucket ends, and with it the chunk from which the late one took.
    tokio::time::advance(secs(2)).await;
    settle_down().await;
    let before = gate.debited.load(Ordering::Relaxed);
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
        let debited = gate.debited.load(Ordering::Relaxed) - before;
        assert!(admitted <= debited, "{admitted} admitted of {debited} debited");
    }
    assert_eq!(admitted, 20);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_is_not_lost_with_the_caller_for_whom_it_was_debited() {
    let gate = Gate::new();
    let limiter = gate.limiter([all(1000, sliding(3600))], Some(Leases::of(["all"]).largest(16)));
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
    assert_eq!(gate.asked(), asked, "it is there for the next");
    tokio::time::advance(secs(11)).await;
    settle_down().await;
    assert_eq!(
        used(&limiter, &ada(), "all").await.0,
        11,
        "what nobody used went back, and nobody had to ask"
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_together_are_refused_together() {
    let gate = Gate::new();
    let limiter = gate.limiter([all(5, Window::UtcDay)], Some(Leases::of(["all"]).largest(1)));
    for away in [false, true] {
        if !away {
            assert!(passes(&limiter, &ada(), 5).await);
        }
        gate.away.store(away, Ordering::Relaxed);
        gate.reserved.send_replace(false);
        let asked = gate.asked();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let limiter = limiter.clone();
            waiting.spawn(async move { limiter.acquire(&ada(), 1, 0).await.unwrap().report().local });
        }
        settle_down().await;
        gate.reserved.send_replace(true);
        let local = waiting.join_all().await.into_iter().filter(|local| *local).count();
        assert_eq!(local, if away { 100 } else { 0 });
        assert!(gate.asked() - asked <= 2, "{} questions for one answer", gate.asked() - asked);
    }
}
