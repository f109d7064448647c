//! The handle of a limiter: checks the arguments, creates reservations and counts decisions.

use std::sync::Arc;
use std::time::Duration;

use crate::inner::{Backend, Inner};
use crate::statistics::DecisionCounters;
use crate::{
    Admission, Ask, Decision, Demand, Error, Limit, LimiterBuilder, LimiterStatistics, Mode, Plan, Report,
    Reservation, ReservationId, Settled, StoreDecision, Subjects,
};

/// Decides over all limits at once. Clones share all state and are cheap.
#[derive(Debug, Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

impl Limiter {
    /// Returns a builder without limits. A limiter without limits admits every request.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder::default()
    }

    pub(crate) fn new(plan: Plan, backend: Backend, reservation_ttl: Duration) -> Self {
        let counters = DecisionCounters::default();
        Self { inner: Arc::new(Inner { plan, backend, reservation_ttl, counters }) }
    }

    /// Checks every limit of the subjects, then charges all of them or none.
    ///
    /// Costs are reserved until they are settled through the reservation of the admission.
    ///
    /// # Errors
    /// [`Error::Invalid`] if an amount or a subject is out of range, and the errors of the store.
    /// An error consumes nothing, except [`Error::Interrupted`]. A request over a limit is not an
    /// error but [`Decision::Denied`].
    pub async fn acquire(&self, subjects: &Subjects<'_>, demand: Demand) -> Result<Decision, Error> {
        subjects.validate()?;
        demand.validate()?;
        let Demand { requests, cost_micros } = demand;
        let inner = &*self.inner;
        let reservation = (cost_micros > 0).then(|| inner.backend.reservation_for(subjects));
        let ttl = inner.reservation_ttl;
        let ask = Ask { plan: &inner.plan, subjects, requests, cost_micros, reservation, ttl };
        // Created before the store decides: if the caller leaves or the answer is lost, its drop
        // releases what the store may have reserved.
        let mut held = reservation.map(|id| Reservation::new(Arc::clone(&self.inner), id, cost_micros));
        let decision = inner.backend.acquire(ask).await;
        inner.counters.record(&decision);
        if !matches!(decision, Ok(StoreDecision::Admitted(_)) | Err(Error::Interrupted { .. }))
            && let Some(unreserved) = held.take()
        {
            unreserved.forget();
        }
        Ok(match decision? {
            StoreDecision::Admitted(report) => {
                let reservation = held.unwrap_or_else(Reservation::empty);
                Decision::Admitted(Admission { reservation, report })
            }
            StoreDecision::Denied(denial) => Decision::Denied(denial),
        })
    }

    /// Returns the state of the limits for the subjects. Consumes nothing.
    ///
    /// # Errors
    /// Like [`Limiter::acquire`].
    pub async fn usage(&self, subjects: &Subjects<'_>) -> Result<Report, Error> {
        subjects.validate()?;
        self.inner.backend.usage(&self.inner.plan, subjects).await
    }

    /// Settles a reservation by its id, from any instance that shares the store. An unknown id is
    /// not an error: the outcome is [`Outcome::Unknown`](crate::Outcome::Unknown).
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2^53, and the errors of the store.
    pub async fn settle(&self, id: &str, actual_micros: u64) -> Result<Settled, Error> {
        match ReservationId::parse(id) {
            Some(id) => self.inner.settle(id, actual_micros).await,
            None => Ok(Settled::unknown()),
        }
    }

    /// Releases a reservation by its id, from any instance that shares the store.
    ///
    /// # Errors
    /// The errors of the store.
    pub async fn release(&self, id: &str) -> Result<Settled, Error> {
        match ReservationId::parse(id) {
            Some(id) => self.inner.release(id).await,
            None => Ok(Settled::unknown()),
        }
    }

    /// Returns how the limiter decides at present.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.backend.mode()
    }

    /// Returns the limits, by scope and then as configured.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        self.inner.plan.limits()
    }

    /// Returns the counts since the limiter was built.
    #[must_use]
    pub fn statistics(&self) -> LimiterStatistics {
        self.inner.backend.complete(self.inner.counters.read())
    }
}
