//! What happens when the store cannot be asked.
//!
//! Requests are decided from this instance's share: every request limit divided by the number of instances that are
//! expected, counted in memory. Money is closed: a dollar that nobody counts is a dollar too many. The mode and how often
//! it changed can be seen; nothing is ever silently open. The mode is that of the last decision: a store that can be read
//! but not written is not back.
//!
//! The share begins empty when the store is first lost, knows nothing of what the store counted, and is kept when the store
//! is back, so that a store that comes and goes does not make it anew. Around an outage a subject can therefore be
//! admitted, by all instances together, up to its limit once more within one window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use crate::MemoryStore;
use crate::{
    Ask, Error, Limit, Mode, Plan, Report, ReservationId, Settled, Store, Subjects, Unit, Verdict, Window,
};

/// A store that falls back to this instance's share of the request limits.
#[derive(Debug)]
pub struct Fallback {
    store: Arc<dyn Store>,
    share: Plan,
    local: MemoryStore,
    is_local: AtomicBool,
    changes: AtomicU64,
}

impl Fallback {
    /// `store` while it answers, else this instance's share of `plan` among `instances` (at least 1), for at most
    /// `max_subjects` in each scope.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, plan: &Plan, instances: u32, max_subjects: usize) -> Self {
        let limits = plan.limits().iter().filter(|limit| limit.unit() == Unit::Requests);
        let share = Plan::of_valid(limits.map(|limit| share_of(limit, instances)).collect());
        Self {
            store,
            share,
            local: MemoryStore::new(max_subjects, 1),
            is_local: AtomicBool::new(false),
            changes: AtomicU64::new(0),
        }
    }

    fn note(&self, local: bool) {
        if self.is_local.swap(local, Ordering::Relaxed) == local {
            return;
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        if local {
            tracing::warn!("the limit store is away: requests by this instance's share, money closed");
        } else {
            tracing::info!("the limit store is back: exact again");
        }
    }

    /// Passes an answer on, having learned from it whether the store is there.
    fn learn<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        match &answer {
            Ok(_) => self.note(false),
            Err(Error::Unavailable { .. } | Error::Interrupted { .. }) => self.note(true),
            Err(_) => {}
        }
        answer
    }
}

/// Rounded up, so that a small limit among many instances admits a little more rather than nothing.
fn share_of(limit: &Limit, instances: u32) -> Limit {
    let share = limit.limit().div_ceil(u64::from(instances.max(1)));
    let window = match limit.window() {
        // A share too small to hold a burst of its own and something to spread is counted over its period.
        Window::Smooth { period, .. } if share < 2 => Window::Sliding(period),
        Window::Smooth { period, burst } => {
            Window::Smooth { period, burst: burst.div_ceil(u64::from(instances.max(1))).min(share - 1) }
        }
        window => window,
    };
    Limit::requests(limit.scope(), share, window).named(limit.name())
}

#[async_trait]
impl Store for Fallback {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        let failure = match self.learn(self.store.acquire(ask).await) {
            Err(error @ (Error::Unavailable { .. } | Error::Interrupted { .. })) => error,
            answer => return answer,
        };
        if ask.cost_micros > 0 {
            return Err(failure);
        }
        let mut verdict = self.local.decide(Ask { plan: &self.share, ..ask }).await?;
        match &mut verdict {
            Verdict::Admitted(report) => report.local = true,
            Verdict::Denied(denial) => denial.report.local = true,
        }
        Ok(verdict)
    }

    async fn settle(&self, plan: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        self.learn(self.store.settle(plan, id, actual_micros).await)
    }

    async fn release(&self, plan: &Plan, id: ReservationId) -> Result<Settled, Error> {
        self.learn(self.store.release(plan, id).await)
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        match self.store.usage(plan, subjects).await {
            Err(Error::Unavailable { .. } | Error::Interrupted { .. }) => {
                self.note(true);
                Ok(Report { local: true, ..self.local.usage_now(&self.share, subjects) })
            }
            answer => answer,
        }
    }

    fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        self.store.reservation_for(subjects)
    }

    fn mode(&self) -> Mode {
        if self.is_local.load(Ordering::Relaxed) { Mode::Local } else { Mode::Exact }
    }

    fn mode_changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}
