//! Fixtures for the tests of all stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use picarcade_ratelimit::{
    Clock, Demand, Denial, ExpenseLedger, Limit, Limiter, MemoryStore, Scope, Store, Subjects, Window,
};

/// 2023-11-14 22:13:20 UTC, which is not at the edge of a minute, an hour or a day.
pub const START: Duration = Duration::from_secs(1_700_000_000);
pub const TTL: Duration = Duration::from_secs(900);

/// A store without counts and with a manual clock.
pub struct Setup {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    now: std::sync::Mutex<Duration>,
}

impl Setup {
    pub fn new(make: impl FnOnce(Clock) -> Arc<dyn Store>) -> Self {
        let clock = Clock::by_hand(START);
        Self { store: make(clock.clone()), clock, now: std::sync::Mutex::new(START) }
    }

    pub fn memory() -> Self {
        Self::new(|clock| Arc::new(MemoryStore::new(1000, 1000).with_clock(clock)))
    }

    pub fn limiter(&self, limits: impl IntoIterator<Item = Limit>) -> Limiter {
        Limiter::builder().limits(limits).store(Arc::clone(&self.store)).reservation_ttl(TTL).build().unwrap()
    }

    pub fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    pub fn set(&self, now: Duration) {
        *self.now.lock().unwrap() = now;
        self.clock.set(now);
    }

    pub fn pass(&self, time: Duration) {
        self.set(self.now() + time);
    }
}

/// Lets every task that can run do so.
pub async fn settle_down() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn sliding(seconds: u64) -> Window {
    Window::Sliding(secs(seconds))
}

pub fn ada() -> Subjects<'static> {
    Subjects::default().user("ada")
}

/// Returns the limits of the contract of the service.
pub fn contract() -> [Limit; 5] {
    [
        Limit::requests(Scope::User, 100, sliding(60)),
        Limit::requests(Scope::User, 1000, sliding(3600)),
        Limit::cost(Scope::User, 50_000_000, sliding(3600)),
        Limit::requests(Scope::Global, 10_000, sliding(3600)),
        Limit::cost(Scope::Global, 500_000_000, Window::UtcDay),
    ]
}

/// Returns whether requests are admitted.
pub async fn passes(limiter: &Limiter, subjects: &Subjects<'_>, requests: u64) -> bool {
    limiter.acquire(subjects, Demand::requests(requests)).await.unwrap().is_admitted()
}

/// Reserves and settles `micros`. Returns false if they are denied.
pub async fn spends(limiter: &Limiter, subjects: &Subjects<'_>, micros: u64) -> bool {
    match limiter.acquire(subjects, Demand::cost_micros(micros)).await.unwrap().admitted() {
        Some(admission) => {
            admission.reservation.settle(micros).await.unwrap();
            true
        }
        None => false,
    }
}

pub async fn denied(limiter: &Limiter, subjects: &Subjects<'_>, requests: u64, micros: u64) -> Denial {
    limiter
        .acquire(subjects, Demand { requests, cost_micros: micros })
        .await
        .unwrap()
        .denied()
        .expect("it was admitted")
}

/// Returns the used and the reserved amount of a limit.
pub async fn used(limiter: &Limiter, subjects: &Subjects<'_>, name: &str) -> (u64, u64) {
    let report = limiter.usage(subjects).await.unwrap();
    let status = report.statuses.iter().find(|status| status.name == name).expect("no such limit");
    (status.used, status.reserved)
}

/// A ledger that knows one sum, or does not answer.
#[derive(Debug, Default)]
pub struct Book {
    pub spent: AtomicU64,
    pub closed: AtomicBool,
    pub asked: AtomicU64,
}

#[async_trait::async_trait]
impl ExpenseLedger for Book {
    async fn spent_micros(&self, _: Scope, _: &str, _: Window) -> Result<u64, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.closed.load(Ordering::Relaxed) {
            return Err("the database is unavailable".to_owned());
        }
        Ok(self.spent.load(Ordering::Relaxed))
    }
}
