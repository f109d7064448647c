//! What clones of a limiter and its open reservations share.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::dollars::checked;
use crate::statistics::DecisionCounters;
use crate::{Error, Plan, ReservationId, Settled};

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
        self.backend.settle(id, actual_micros).await
    }

    pub(crate) async fn release(&self, id: ReservationId) -> Result<Settled, Error> {
        self.backend.release(id).await
    }

    /// Releases a reservation without waiting: in place if possible, otherwise in a new task.
    pub(crate) fn release_in_background(self: &Arc<Self>, id: ReservationId) {
        if self.backend.release_now(id) {
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
