//! Decisions while the store is unavailable.
//!
//! Requests are decided by the share of this instance: every request limit divided by the expected
//! number of instances, counted in memory. Dollars are rejected, because they would not be counted.
//! The mode and the number of its changes are visible. The mode is that of the last decision: a
//! store that can be read but not written is still unavailable.
//!
//! The share starts empty at the first outage and does not include what the store counted. It is
//! kept when the store is back, so repeated outages do not renew it. Around an outage, all
//! instances together can therefore admit a subject up to its limit once more within one window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{
    Ask, Error, Limit, MemoryStore, Mode, Plan, Report, ReservationId, Settled, Store, StoreDecision,
    Subjects, Unit, Window,
};

/// An external store, with the share of this instance in the request limits to fall back to.
#[derive(Debug)]
pub(crate) struct Fallback {
    store: Arc<dyn Store>,
    share: Plan,
    local: MemoryStore,
    is_local: AtomicBool,
    mode_changes: AtomicU64,
}

impl Fallback {
    /// Wraps `store`. While it is unavailable, this instance decides by its share of `plan` among
    /// `instances` (at least 1), for at most `max_subjects` in each scope.
    pub(crate) fn new(store: Arc<dyn Store>, plan: &Plan, instances: u32, max_subjects: usize) -> Self {
        let limits = plan.limits().iter().filter(|limit| limit.unit() == Unit::Requests);
        let share = Plan::from_valid(limits.map(|limit| share_of(limit, instances)).collect());
        Self {
            store,
            share,
            local: MemoryStore::new(max_subjects, 1),
            is_local: AtomicBool::new(false),
            mode_changes: AtomicU64::new(0),
        }
    }

    pub(crate) async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        let failure = match self.observe(self.store.acquire(ask).await) {
            Err(error @ (Error::Unavailable { .. } | Error::Interrupted { .. })) => error,
            answer => return answer,
        };
        if ask.cost_micros > 0 {
            return Err(failure);
        }
        let mut decision = self.local.decide(Ask { plan: &self.share, ..ask }).await?;
        match &mut decision {
            StoreDecision::Admitted(report) => report.local = true,
            StoreDecision::Denied(denial) => denial.report.local = true,
        }
        Ok(decision)
    }

    pub(crate) async fn conclude(
        &self,
        id: ReservationId,
        actual_micros: Option<u64>,
    ) -> Result<Settled, Error> {
        self.observe(self.store.conclude(id, actual_micros).await)
    }

    pub(crate) async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        match self.store.usage(plan, subjects).await {
            Err(Error::Unavailable { .. } | Error::Interrupted { .. }) => {
                self.set_mode(true);
                Ok(Report { local: true, ..self.local.usage_now(&self.share, subjects) })
            }
            answer => answer,
        }
    }

    pub(crate) fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        self.store.reservation_for(subjects)
    }

    /// Returns the mode of the last decision.
    pub(crate) fn mode(&self) -> Mode {
        if self.is_local.load(Ordering::Relaxed) { Mode::Local } else { Mode::Exact }
    }

    pub(crate) fn mode_changes(&self) -> u64 {
        self.mode_changes.load(Ordering::Relaxed)
    }

    fn set_mode(&self, local: bool) {
        if self.is_local.swap(local, Ordering::Relaxed) == local {
            return;
        }
        self.mode_changes.fetch_add(1, Ordering::Relaxed);
        if local {
            tracing::warn!(
                "limit store unavailable: requests are decided by the share of this instance, dollars are rejected"
            );
        } else {
            tracing::info!("limit store available again: decisions are exact");
        }
    }

    /// Sets the mode by an answer of the store, and returns the answer.
    fn observe<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        match &answer {
            Ok(_) => self.set_mode(false),
            Err(Error::Unavailable { .. } | Error::Interrupted { .. }) => self.set_mode(true),
            Err(_) => {}
        }
        answer
    }
}

/// Returns the share of one instance. It is rounded up, so a small limit among many instances
/// admits slightly more instead of nothing.
fn share_of(limit: &Limit, instances: u32) -> Limit {
    let share = limit.limit().div_ceil(u64::from(instances.max(1)));
    let window = match limit.window() {
        // Too small to be divided into a burst and a rest, so it is counted over its period.
        Window::Smooth { period, .. } if share < 2 => Window::Sliding(period),
        Window::Smooth { period, burst } => {
            Window::Smooth { period, burst: burst.div_ceil(u64::from(instances.max(1))).min(share - 1) }
        }
        Window::Sliding(_) | Window::UtcDay => limit.window(),
    };
    Limit::requests(limit.scope(), share, window).named(limit.name())
}
