//! The shell around a store: checks what comes in, makes reservations, counts what came out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::MemoryStore;
use crate::dollars::checked;
use crate::{
    Admission, Ask, Decision, Error, Limit, LimiterBuilder, Mode, Plan, Report, Reservation, ReservationId,
    Settled, Store, Subjects, Verdict,
};

/// One decision over all limits. Cheap to clone; clones share everything.
///
/// ```
/// use std::time::Duration;
/// use picarcade_ratelimit::{Decision, Limit, Limiter, Scope, Subjects, Window};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let minute = Window::Sliding(Duration::from_secs(60));
/// let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 2, minute)).build()?;
/// let ada = Subjects::default().user("ada");
/// assert!(limiter.acquire(&ada, 2, 0).await?.is_admitted());
/// let Decision::Denied(denial) = limiter.acquire(&ada, 1, 0).await? else { unreachable!() };
/// assert!(denial.retry_after <= Duration::from_secs(61));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    plan: Plan,
    backend: Backend,
    ttl: Duration,
    tally: Tally,
}

/// The embedded store answers in place; only an external one is called through a pointer and a boxed future.
#[derive(Debug)]
pub(crate) enum Backend {
    Memory(Box<MemoryStore>),
    External(Arc<dyn Store>),
}

#[derive(Debug, Default)]
struct Tally {
    admitted: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    local: AtomicU64,
    abandoned: AtomicU64,
}

/// Counts since the limiter was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Calls that were admitted.
    pub admitted: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// Calls that no decision was made for.
    pub failed: u64,
    /// Decisions made from this instance's share.
    pub local: u64,
    /// Reservations dropped undispatched that could not be released, because the runtime was gone: they are charged.
    pub abandoned: u64,
    /// Changes between exact and local.
    pub mode_changes: u64,
    /// How it decides at present.
    pub mode: Mode,
    /// Subjects kept in this process; 0 with an external store.
    pub subjects: u64,
    /// Subjects forgotten at the bound while they still had counts; 0 with an external store.
    pub evicted: u64,
    /// Reservations open in this process; 0 with an external store.
    pub open_reservations: u64,
}

impl Limiter {
    /// Starts a limiter without limits, which admits everything.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder::default()
    }

    pub(crate) fn new(plan: Plan, backend: Backend, ttl: Duration) -> Self {
        Self { inner: Arc::new(Inner { plan, backend, ttl, tally: Tally::default() }) }
    }

    /// Decides: every limit of the subjects is checked, then every one is charged `requests` and `cost_micros`, each
    /// 0 to 2^53. Costs are reserved, to be settled through the admission's reservation. Zero of a unit asks nothing
    /// of that unit's limits; they are reported all the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] for amounts and subjects out of range, and what the store cannot decide. Nothing is consumed
    /// then. Being over a limit is not an error but [`Decision::Denied`].
    pub async fn acquire(
        &self,
        subjects: &Subjects<'_>,
        requests: u64,
        cost_micros: u64,
    ) -> Result<Decision, Error> {
        subjects.validate()?;
        checked("requests", requests)?;
        checked("cost_micros", cost_micros)?;
        let inner = &*self.inner;
        let reservation = (cost_micros > 0).then(|| match &inner.backend {
            Backend::Memory(_) => ReservationId::random(),
            Backend::External(store) => store.reservation_for(subjects),
        });
        let ask = Ask { plan: &inner.plan, subjects, requests, cost_micros, reservation, ttl: inner.ttl };
        // Made before the store is asked: should our caller leave while it answers, or the answer be lost, the drop gives
        // back what may have been reserved.
        let mut held = reservation.map(|id| Reservation::new(self.clone(), id, cost_micros));
        let verdict = match &inner.backend {
            Backend::Memory(memory) => memory.decide(ask).await,
            Backend::External(store) => store.acquire(ask).await,
        };
        inner.tally.count(&verdict);
        if !matches!(verdict, Ok(Verdict::Admitted(_)) | Err(Error::Interrupted { .. }))
            && let Some(nothing) = held.take()
        {
            nothing.forget();
        }
        Ok(match verdict? {
            Verdict::Admitted(report) => {
                let reservation = held.unwrap_or_else(Reservation::empty);
                Decision::Admitted(Admission { reservation, report })
            }
            Verdict::Denied(denial) => Decision::Denied(denial),
        })
    }

    /// How the limits stand for the subjects; consumes nothing.
    ///
    /// # Errors
    /// As [`Limiter::acquire`].
    pub async fn usage(&self, subjects: &Subjects<'_>) -> Result<Report, Error> {
        subjects.validate()?;
        let plan = &self.inner.plan;
        match &self.inner.backend {
            Backend::Memory(memory) => Ok(memory.usage_now(plan, subjects)),
            Backend::External(store) => store.usage(plan, subjects).await,
        }
    }

    /// [`Reservation::settle`] by id, from any instance that shares the store. An id that nobody knows is no error:
    /// the answer's outcome says so.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2^53, and the store's errors.
    pub async fn settle(&self, id: &str, actual_micros: u64) -> Result<Settled, Error> {
        match ReservationId::parse(id) {
            Some(id) => self.settle_id(id, actual_micros).await,
            None => Ok(Settled::unknown()),
        }
    }

    /// [`Reservation::release`] by id, from any instance that shares the store.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn release(&self, id: &str) -> Result<Settled, Error> {
        match ReservationId::parse(id) {
            Some(id) => self.release_id(id).await,
            None => Ok(Settled::unknown()),
        }
    }

    /// How it decides at present.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match &self.inner.backend {
            Backend::Memory(_) => Mode::Exact,
            Backend::External(store) => store.mode(),
        }
    }

    /// The limits, by scope and then as configured.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        self.inner.plan.limits()
    }

    /// Counts since it was built.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let tally = &self.inner.tally;
        let mut statistics = Statistics {
            admitted: read(&tally.admitted),
            denied: read(&tally.denied),
            failed: read(&tally.failed),
            local: read(&tally.local),
            abandoned: read(&tally.abandoned),
            mode: self.mode(),
            ..Statistics::default()
        };
        match &self.inner.backend {
            Backend::Memory(memory) => {
                let (subjects, evicted, open) = memory.census();
                statistics.subjects = subjects as u64;
                statistics.evicted = evicted;
                statistics.open_reservations = open as u64;
            }
            Backend::External(store) => statistics.mode_changes = store.mode_changes(),
        }
        statistics
    }

    pub(crate) async fn settle_id(&self, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        checked("actual_micros", actual_micros)?;
        let plan = &self.inner.plan;
        match &self.inner.backend {
            Backend::Memory(memory) => Ok(memory.conclude(id, Some(actual_micros))),
            Backend::External(store) => store.settle(plan, id, actual_micros).await,
        }
    }

    pub(crate) async fn release_id(&self, id: ReservationId) -> Result<Settled, Error> {
        let plan = &self.inner.plan;
        match &self.inner.backend {
            Backend::Memory(memory) => Ok(memory.conclude(id, None)),
            Backend::External(store) => store.release(plan, id).await,
        }
    }

    /// Releases without waiting: in place where that is possible, else by a task of its own.
    pub(crate) fn release_in_background(&self, id: ReservationId) {
        if let Backend::Memory(memory) = &self.inner.backend {
            memory.conclude(id, None);
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.inner.tally.abandoned.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let limiter = self.clone();
        runtime.spawn(async move {
            if let Err(error) = limiter.release_id(id).await {
                limiter.inner.tally.abandoned.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "a dropped reservation could not be released and stays charged");
            }
        });
    }
}

impl Tally {
    fn count(&self, verdict: &Result<Verdict, Error>) {
        let (counter, local) = match verdict {
            Ok(Verdict::Admitted(report)) => (&self.admitted, report.local),
            Ok(Verdict::Denied(denial)) => (&self.denied, denial.report.local),
            Err(_) => (&self.failed, false),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if local {
            self.local.fetch_add(1, Ordering::Relaxed);
        }
    }
}
