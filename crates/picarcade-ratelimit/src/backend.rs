//! The store of a limiter. No other file matches on its kind.

use std::sync::Arc;

use crate::{
    Ask, Error, LimiterStatistics, MemoryStore, Mode, Plan, Report, ReservationId, Settled, Store,
    StoreDecision, Subjects,
};

/// The embedded store, which answers without a boxed future, or an external one.
#[derive(Debug)]
pub(crate) enum Backend {
    Memory(Box<MemoryStore>),
    External(Arc<dyn Store>),
}

impl Backend {
    #[inline]
    pub(crate) async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        match self {
            Self::Memory(memory) => memory.decide(ask).await,
            Self::External(store) => store.acquire(ask).await,
        }
    }

    pub(crate) async fn settle(&self, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.conclude(id, Some(actual_micros))),
            Self::External(store) => store.settle(id, actual_micros).await,
        }
    }

    pub(crate) async fn release(&self, id: ReservationId) -> Result<Settled, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.conclude(id, None)),
            Self::External(store) => store.release(id).await,
        }
    }

    /// Releases a reservation if that needs no waiting, and returns whether it was released.
    pub(crate) fn release_now(&self, id: ReservationId) -> bool {
        match self {
            Self::Memory(memory) => {
                memory.conclude(id, None);
                true
            }
            Self::External(_) => false,
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
