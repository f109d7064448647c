//! A store behind a network that the test controls: it counts its calls, its answers can be
//! delayed, and it can be unavailable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use picarcade_ratelimit::{
    Ask, Error, MemoryStore, Plan, Report, ReservationId, Settled, Store, StoreDecision, Subjects,
};
use tokio::sync::watch;

/// A store that decides at once and answers when its gate is open. There is one gate for calls that
/// reserve or lease, and one for other calls.
#[derive(Debug)]
pub struct Remote {
    store: MemoryStore,
    pub reserved: watch::Sender<bool>,
    pub rest: watch::Sender<bool>,
    pub unavailable: AtomicBool,
    asked: AtomicU64,
    debited: AtomicU64,
}

impl Remote {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(100_000, 100_000),
            reserved: watch::Sender::new(true),
            rest: watch::Sender::new(true),
            unavailable: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            debited: AtomicU64::new(0),
        })
    }

    pub fn store(self: &Arc<Self>) -> Arc<dyn Store> {
        Arc::<Self>::clone(self)
    }

    /// Returns how often it decided.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Returns how many requests were admitted under a reservation.
    pub fn debited(&self) -> u64 {
        self.debited.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Store for Remote {
    async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        // As with a network, other tasks run between the request and the answer.
        tokio::task::yield_now().await;
        let answer = if self.unavailable.load(Ordering::Relaxed) {
            Err(Error::Unavailable { reason: "unavailable".to_owned() })
        } else {
            self.store.acquire(ask).await
        };
        tokio::task::yield_now().await;
        let gate = if ask.reservation.is_some() { &self.reserved } else { &self.rest };
        gate.subscribe().wait_for(|open| *open).await.unwrap();
        if ask.reservation.is_some() && matches!(answer, Ok(StoreDecision::Admitted(_))) {
            self.debited.fetch_add(ask.requests, Ordering::Relaxed);
        }
        answer
    }

    async fn conclude(&self, id: ReservationId, actual: Option<u64>) -> Result<Settled, Error> {
        self.store.conclude(id, actual).await
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        self.store.usage(plan, subjects).await
    }
}
