//! Counts in this process: exact under concurrency, bounded, and without waiting.
//!
//! A decision locks the cells of its subjects in the order of the scopes. This is two-phase locking
//! in one fixed order, so decisions cannot deadlock. It checks every limit, then charges every
//! limit and unlocks the cells with the most contention first. The reservations have their own
//! lock, which is taken before any cell and never after one.
//!
//! The counts end with the process. Dollars can be restored from an [`ExpenseLedger`]. At the bound
//! of subjects the least important ones are forgotten: see `shard.rs`. At the bound of open
//! reservations dollars are rejected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::super::contract::Step;
use super::reservations::{Change, Reservations};
use super::table::Table;
use super::trial::Trial;
use crate::clock::Clock;
use crate::ledger::{LOOKUP_TIMEOUT, spent};
use crate::limit::PerScope;
use crate::{
    Ask, Error, ExpenseLedger, Plan, Report, ReservationId, Scope, Settled, Store, StoreDecision, Subjects,
    Unit,
};

/// Cells of the global scope: it has one subject, and one cell for each layout of limits.
const GLOBAL_CELLS: usize = 127;

/// Counts in this process.
#[derive(Debug)]
pub struct MemoryStore {
    tables: PerScope<Table>,
    reservations: Mutex<Reservations>,
    /// When a reservation next expires, so a decision without dollars need not lock them.
    due: AtomicU64,
    clock: Clock,
    ledger: Option<Arc<dyn ExpenseLedger>>,
}

impl MemoryStore {
    /// Creates a store of at most `max_subjects` in each scope and `max_reservations` in total. A
    /// concluded reservation is remembered for another period of its time to live.
    #[must_use]
    pub fn new(max_subjects: usize, max_reservations: usize) -> Self {
        let cells = |scope| if scope == Scope::Global { GLOBAL_CELLS } else { max_subjects };
        Self {
            tables: PerScope::new(|scope| Table::new(cells(scope))),
            reservations: Mutex::new(Reservations::new(max_reservations)),
            due: AtomicU64::new(u64::MAX),
            clock: Clock::system(),
            ledger: None,
        }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the ledger of what a subject spent before this store knew it: in an earlier process, or
    /// before the subject was forgotten at the bound. It is read once for each scope of a subject,
    /// before its first dollar.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn ExpenseLedger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    pub(crate) async fn decide(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        match self.step(ask, self.clock.now())? {
            Step::Decided(decision) => Ok(decision),
            // Boxed, because it is rare and would enlarge every future of a decision.
            Step::Compare(scopes) => Box::pin(self.seed_and_decide(ask, scopes)).await,
        }
    }

    async fn seed_and_decide(&self, ask: Ask<'_>, scopes: Vec<Scope>) -> Result<StoreDecision, Error> {
        for scope in scopes {
            self.seed(ask, scope).await?;
        }
        match self.step(ask, self.clock.now())? {
            Step::Decided(decision) => Ok(decision),
            // A flood of new subjects evicted the cell again.
            Step::Compare(_) => Err(Error::Rebuilding),
        }
    }

    async fn seed(&self, ask: Ask<'_>, scope: Scope) -> Result<(), Error> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let group = ask.plan.group(scope);
        let subject = ask.subjects.of(scope).unwrap_or_default();
        let spent = tokio::time::timeout(LOOKUP_TIMEOUT, spent(&**ledger, scope, subject, group)).await;
        let spent = spent.unwrap_or(Err(Error::Rebuilding))?;
        let now = self.clock.now();
        let Some(mut held) = self.tables.of(scope).enter(subject, group, now) else { return Ok(()) };
        held.keep();
        if std::mem::replace(&mut held.seeded, true) {
            return Ok(());
        }
        let costs = held.each(&group.rules).filter(|(rule, _)| rule.unit == Unit::Cost);
        for ((rule, counter), micros) in costs.zip(spent) {
            counter.advance(rule.shape, now);
            // The larger of both, not the sum: the ledger may include what was charged here.
            let used = counter.reading(rule.shape, rule.limit, now).used;
            counter.charge(rule.shape, micros.saturating_sub(used), 0);
        }
        Ok(())
    }

    /// Tries to decide once.
    fn step(&self, ask: Ask<'_>, now: u64) -> Result<Step<Vec<Scope>>, Error> {
        self.expire(now);
        // Locked until the reservation is added, so two concurrent calls with one id charge once.
        let mut reservations = ask.reservation.map(|id| (id, self.reservations.lock()));
        if let Some((id, known)) = &mut reservations {
            if known.contains(*id) {
                drop(reservations);
                return Ok(Step::Decided(StoreDecision::Admitted(self.report(ask.plan, ask.subjects, now))));
            }
            if !known.has_room() {
                return Err(Error::TooManyReservations);
            }
        }
        let mut trial = Trial::new(&ask);
        for (scope, group) in ask.plan.groups() {
            let Some(subject) = ask.subjects.of(scope) else { continue };
            let Some(held) = self.tables.of(scope).enter(subject, group, now) else { continue };
            trial.check(scope, group, held, now);
        }
        if ask.cost_micros > 0 && self.ledger.is_some() {
            let scopes = trial.unseeded();
            if !scopes.is_empty() {
                return Ok(Step::Compare(scopes));
            }
        }
        if trial.is_refused() {
            return Ok(Step::Decided(StoreDecision::Denied(trial.deny(now))));
        }
        let (report, charges) = trial.charge(now);
        if let Some((id, mut known)) = reservations {
            let ttl = ask.ttl.as_micros() as u64;
            known.add(id, ask.held(), charges.into_boxed_slice(), now, ttl);
            self.due.store(known.due(), Ordering::Relaxed);
        }
        Ok(Step::Decided(StoreDecision::Admitted(report)))
    }

    pub(crate) fn conclude_now(&self, id: ReservationId, actual: Option<u64>) -> Settled {
        let now = self.clock.now();
        self.expire(now);
        let mut reservations = self.reservations.lock();
        let (answer, change) = reservations.conclude(id, actual, now);
        self.due.store(reservations.due(), Ordering::Relaxed);
        drop(reservations);
        if let Some(change) = change {
            self.apply(&change, now);
        }
        answer
    }

    pub(crate) fn usage_now(&self, plan: &Plan, subjects: &Subjects<'_>) -> Report {
        let now = self.clock.now();
        self.expire(now);
        self.report(plan, subjects, now)
    }

    /// Returns the number of subjects, of subjects that were evicted with counts, and of open
    /// reservations.
    pub(crate) fn census(&self) -> (usize, u64, usize) {
        let (mut kept, mut evicted) = (0, 0);
        for (_, table) in self.tables.iter() {
            let (kept_here, evicted_here) = table.census();
            kept += kept_here;
            evicted += evicted_here;
        }
        (kept, evicted, self.reservations.lock().open())
    }

    fn report(&self, plan: &Plan, subjects: &Subjects<'_>, now: u64) -> Report {
        let mut statuses = Vec::with_capacity(plan.limits().len());
        for (scope, group) in plan.groups() {
            let Some(subject) = subjects.of(scope) else { continue };
            let rules = &group.rules;
            let first = statuses.len();
            statuses.extend_from_slice(&group.blank);
            let Some(mut held) = self.tables.of(scope).find(subject, group.layout_hash) else { continue };
            for ((rule, counter), status) in held.each(rules).zip(statuses.iter_mut().skip(first)) {
                counter.advance(rule.shape, now);
                status.fill(counter.reading(rule.shape, rule.limit, now));
            }
        }
        Report::new(statuses, false)
    }

    fn expire(&self, now: u64) {
        while now >= self.due.load(Ordering::Relaxed) {
            let mut reservations = self.reservations.lock();
            let change = reservations.expire_one(now);
            self.due.store(reservations.due(), Ordering::Relaxed);
            drop(reservations);
            let Some(change) = change else { return };
            self.apply(&change, now);
        }
    }

    fn apply(&self, change: &Change, now: u64) {
        for charge in &change.charges {
            let table = self.tables.of(charge.scope);
            let held = if change.overage > 0 {
                table.enter(&charge.subject, &charge.group, now)
            } else {
                table.find(&charge.subject, charge.group.layout_hash)
            };
            let Some(mut held) = held else { continue };
            let same = held.born == charge.born;
            let held = held.each(&charge.group.rules).filter(|(rule, _)| rule.unit == change.unit);
            for ((rule, counter), &start) in held.zip(&charge.starts) {
                if same {
                    counter.conclude(change.conclude);
                    counter.refund(rule.shape, now, start, change.refund);
                }
                if change.overage > 0 {
                    counter.advance(rule.shape, now);
                    counter.charge(rule.shape, change.overage, 0);
                }
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        self.decide(ask).await
    }

    async fn conclude(&self, id: ReservationId, actual_micros: Option<u64>) -> Result<Settled, Error> {
        Ok(self.conclude_now(id, actual_micros))
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        Ok(self.usage_now(plan, subjects))
    }
}
