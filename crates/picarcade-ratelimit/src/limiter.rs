//! The shell around a store: checks what comes in, makes reservations, counts what came out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::dollars::checked;
use crate::fallback::Fallback;
use crate::lease::Leased;
use crate::memory::MemoryStore;
use crate::sharded::{MAX_SHARDS, Shards, Split};
use crate::{
    Admission, Ask, ConfigError, Decision, Error, Leases, Ledger, Limit, Mode, Plan, Report, Reservation,
    ReservationId, Settled, Store, Subjects, Verdict,
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
enum Backend {
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

    fn new(plan: Plan, backend: Backend, ttl: Duration) -> Self {
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
        let verdict = match &inner.backend {
            Backend::Memory(memory) => memory.decide(ask).await,
            Backend::External(store) => store.acquire(ask).await,
        };
        inner.tally.count(&verdict);
        Ok(match verdict? {
            Verdict::Admitted(report) => {
                let reservation = match reservation {
                    Some(id) => Reservation::new(self.clone(), id, cost_micros),
                    None => Reservation::empty(),
                };
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

/// Builds a [`Limiter`].
#[derive(Debug, Clone)]
#[must_use]
pub struct LimiterBuilder {
    limits: Vec<Limit>,
    store: Option<Arc<dyn Store>>,
    max_subjects: usize,
    max_reservations: usize,
    reservation_ttl: Duration,
    instances: u32,
    leases: Option<Leases>,
    shards: Option<Shards>,
    ledger: Option<Arc<dyn Ledger>>,
}

impl Default for LimiterBuilder {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            store: None,
            max_subjects: 65_536,
            max_reservations: 65_536,
            reservation_ttl: Duration::from_mins(15),
            instances: 1,
            leases: None,
            shards: None,
            ledger: None,
        }
    }
}

impl LimiterBuilder {
    /// One more limit.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// More limits.
    pub fn limits(mut self, limits: impl IntoIterator<Item = Limit>) -> Self {
        self.limits.extend(limits);
        self
    }

    /// Where the counts are kept. Without one, in this process. While the store cannot be asked, requests are decided by
    /// this instance's share and money is closed: see [`Fallback`].
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Where the memory store looks up what a subject had spent before it was met: see [`MemoryStore::ledger`]. A store of
    /// its own has its own.
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Where the counts are kept when they are spread over a cluster: users in shards, everything shared leased. In the
    /// place of [`LimiterBuilder::store`].
    ///
    /// Every shared limit on requests is leased then, as [`LimiterBuilder::leases`] says or by its defaults.
    pub fn shards(mut self, shards: Shards) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Which request limits are leased from the store in chunks. Without a store, nothing is.
    pub fn leases(mut self, leases: Leases) -> Self {
        self.leases = Some(leases);
        self
    }

    /// Among how many instances the limits are divided while the store cannot be asked: 1 or more, default 1.
    pub fn expected_instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// How many subjects the memory store keeps in each scope: 1 to 2^31, default 65,536. A flood beyond it forgets
    /// those seen once, first.
    pub fn max_subjects(mut self, subjects: usize) -> Self {
        self.max_subjects = subjects;
        self
    }

    /// How many reservations the memory store keeps, open and remembered: 1 or more, default 65,536. With that many
    /// open, asking for more dollars is [`Error::TooManyReservations`].
    pub fn max_reservations(mut self, reservations: usize) -> Self {
        self.max_reservations = reservations;
        self
    }

    /// How long a reservation waits to be settled before its estimate is charged for good: 1 ms to 30 days, default
    /// 15 minutes.
    pub fn reservation_ttl(mut self, ttl: Duration) -> Self {
        self.reservation_ttl = ttl;
        self
    }

    /// The limiter.
    ///
    /// # Errors
    /// [`ConfigError`] naming the limit or the setting that is wrong.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        let wrong = |field, reason| Err(ConfigError::Setting { field, reason });
        if self.max_subjects == 0 || self.max_subjects > 1 << 31 {
            return wrong("max_subjects", "is not from 1 to 2^31");
        }
        if self.max_reservations == 0 {
            return wrong("max_reservations", "is zero");
        }
        if self.reservation_ttl < Duration::from_millis(1) || self.reservation_ttl > Duration::from_hours(720)
        {
            return wrong("reservation_ttl", "is not from 1 ms to 30 days");
        }
        if self.instances == 0 {
            return wrong("expected_instances", "is zero");
        }
        let plan = Plan::new(self.limits)?;
        let (lender, store, leases) = match (self.shards, self.store) {
            (Some(_), Some(_)) => return wrong("shards", "and a store cannot both be given"),
            (Some(shards), None) => {
                if shards.users.is_empty() || shards.users.len() > MAX_SHARDS {
                    return wrong("shards", "are not from 1 to 255");
                }
                let mut leases = self.leases.unwrap_or_else(|| Leases::of::<String>([]));
                leases.names.extend(Split::leased(&plan));
                let lender = Arc::clone(&shards.shared);
                (lender, Arc::new(Split::new(shards, &plan)) as Arc<dyn Store>, Some(leases))
            }
            (None, Some(store)) => (Arc::clone(&store), store, self.leases),
            (None, None) => {
                let mut memory = MemoryStore::new(self.max_subjects, self.max_reservations);
                if let Some(ledger) = self.ledger {
                    memory = memory.ledger(ledger);
                }
                let backend = Backend::Memory(Box::new(memory));
                return Ok(Limiter::new(plan, backend, self.reservation_ttl));
            }
        };
        let store = match leases {
            Some(leases) => {
                leases.validate(&plan)?;
                let (stores, subjects) = ((lender, store), self.max_subjects);
                Arc::new(Leased::new(stores, &plan, &leases, self.instances, subjects)) as Arc<dyn Store>
            }
            None => store,
        };
        let store = Fallback::new(store, &plan, self.instances, self.max_subjects);
        Ok(Limiter::new(plan, Backend::External(Arc::new(store)), self.reservation_ttl))
    }
}
