//! What clones of a limiter and its open reservations share. No other file matches on the kind of
//! the store.

use std::sync::Arc;
use std::time::Duration;

use crate::dollars::checked;
use crate::statistics::DecisionCounters;
use crate::store::Fallback;
use crate::{
    Ask, Error, LimiterStatistics, MemoryStore, Mode, Plan, Report, ReservationId, Settled, StoreDecision,
    Subjects,
};

/// The embedded store, which answers without a boxed future, or an external one.
#[derive(Debug)]
pub(crate) enum Backend {
    Memory(Box<MemoryStore>),
    External(Box<Fallback>),
}

impl Backend {
    #[inline]
    pub(crate) async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        match self {
            Self::Memory(memory) => memory.decide(ask).await,
            // Boxed, because it would enlarge every future of a decision in memory.
            Self::External(store) => Box::pin(store.acquire(ask)).await,
        }
    }

    async fn conclude(&self, id: ReservationId, actual_micros: Option<u64>) -> Result<Settled, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.conclude_now(id, actual_micros)),
            Self::External(store) => store.conclude(id, actual_micros).await,
        }
    }

    pub(crate) async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.usage_now(plan, subjects)),
            Self::External(store) => store.usage(plan, subjects).await,
        }
    }

    pub(crate) fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        match self {
            Self::Memory(_) => ReservationId::random(),
            Self::External(store) => store.reservation_for(subjects),
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        match self {
            Self::Memory(_) => Mode::Exact,
            Self::External(store) => store.mode(),
        }
    }

    /// Adds what the store counts.
    pub(crate) fn complete(&self, statistics: LimiterStatistics) -> LimiterStatistics {
        let mode = self.mode();
        match self {
            Self::Memory(memory) => {
                let (subjects, evicted, open) = memory.census();
                LimiterStatistics {
                    mode,
                    subjects: subjects as u64,
                    evicted,
                    open_reservations: open as u64,
                    ..statistics
                }
            }
            Self::External(store) => {
                LimiterStatistics { mode, mode_changes: store.mode_changes(), ..statistics }
            }
        }
    }
}

/// The limits, the store and the counters of a limiter.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) plan: Plan,
    pub(crate) backend: Backend,
    pub(crate) reservation_ttl: Duration,
    pub(crate) counters: DecisionCounters,
}

impl Inner {
    pub(crate) async fn settle(&self, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        checked("actual_micros", actual_micros)?;
        self.backend.conclude(id, Some(actual_micros)).await
    }

    pub(crate) async fn release(&self, id: ReservationId) -> Result<Settled, Error> {
        self.backend.conclude(id, None).await
    }

    /// Releases a reservation without waiting: in place if possible, otherwise in a new task.
    pub(crate) fn release_in_background(self: &Arc<Self>, id: ReservationId) {
        if let Backend::Memory(memory) = &self.backend {
            memory.conclude_now(id, None);
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.counters.record_abandoned();
            return;
        };
        let inner = Arc::clone(self);
        runtime.spawn(async move {
            if let Err(error) = inner.release(id).await {
                inner.counters.record_abandoned();
                tracing::warn!(%error, "dropped reservation could not be released and stays charged");
            }
        });
    }
}
