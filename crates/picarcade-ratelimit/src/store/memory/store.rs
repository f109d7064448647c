//! Counts in this process: exact under concurrency, bounded, and without waiting.
//!
//! A decision locks the cells of its subjects in the order of the scopes (two-phase locking in one fixed order, so
//! that decisions cannot wait for each other in a circle), looks at every limit, and then charges every limit, letting
//! go of the most wanted cells first. The book of reservations has its own lock: whoever reserves takes it before any
//! cell, and nobody takes it after one.
//!
//! Nothing here fails with the network. State is gone with the process, and comes back from a [`Ledger`] as far as that
//! knows it; what it bounds, it bounds by forgetting the
//! least: see the shard's text for subjects. At the bound of open reservations money is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::decision::Trial;
use super::reservations::{Change, Reservations};
use super::table::{Held, Table};
use crate::clock::Clock;
use crate::ledger::{LOOKUP_TIMEOUT, spent};
use crate::{
    Ask, Error, Ledger, Plan, Report, ReservationId, Scope, Settled, Store, Subjects, Unit, Verdict,
};

/// The global scope has one subject, and one cell for each plan that is asked about.
const GLOBAL_CELLS: usize = 127;

/// Counts in this process.
#[derive(Debug)]
pub struct MemoryStore {
    tables: [Table; 4],
    book: Mutex<Reservations>,
    /// When the book next has something to expire, so that a decision without dollars need not open it.
    due: AtomicU64,
    clock: Clock,
    ledger: Option<Arc<dyn Ledger>>,
}

/// What a question comes to.
enum Step {
    Decided(Verdict),
    /// These scopes do not know what was spent before.
    Seed(Vec<Scope>),
}

impl MemoryStore {
    /// A store of at most `max_subjects` in each scope and `max_reservations` in all. A reservation is remembered
    /// until it is concluded, and then for as long again as it could have been open.
    #[must_use]
    pub fn new(max_subjects: usize, max_reservations: usize) -> Self {
        let table = || Table::new(max_subjects);
        Self {
            tables: [table(), table(), table(), Table::new(GLOBAL_CELLS)],
            book: Mutex::new(Reservations::new(max_reservations)),
            due: AtomicU64::new(u64::MAX),
            clock: Clock::system(),
            ledger: None,
        }
    }

    /// The same store on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Where to look up what a subject had spent before it was met: in an earlier process, or before it was forgotten at
    /// the bound. Asked once for each scope of a subject, before its first dollar.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    pub(crate) async fn decide(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        match self.step(ask, self.clock.now())? {
            Step::Decided(verdict) => Ok(verdict),
            // Boxed, so that the way without a ledger stays small.
            Step::Seed(scopes) => Box::pin(self.seed_and_decide(ask, scopes)).await,
        }
    }

    async fn seed_and_decide(&self, ask: Ask<'_>, scopes: Vec<Scope>) -> Result<Verdict, Error> {
        for scope in scopes {
            self.seed(ask, scope).await?;
        }
        match self.step(ask, self.clock.now())? {
            Step::Decided(verdict) => Ok(verdict),
            // Forgotten again in between, by a flood.
            Step::Seed(_) => Err(Error::Rebuilding),
        }
    }

    async fn seed(&self, ask: Ask<'_>, scope: Scope) -> Result<(), Error> {
        let (Some(ledger), Some(group)) = (&self.ledger, ask.plan.group(scope)) else { return Ok(()) };
        let subject = ask.subjects.of(scope).unwrap_or_default();
        let spent = tokio::time::timeout(LOOKUP_TIMEOUT, spent(&**ledger, scope, subject, group)).await;
        let spent = spent.unwrap_or(Err(Error::Rebuilding))?;
        let now = self.clock.now();
        let Some(mut held) = self.table(scope).and_then(|table| table.enter(subject, group, now)) else {
            return Ok(());
        };
        held.keep();
        let Some(cell) = held.cell().filter(|cell| !cell.seeded) else { return Ok(()) };
        cell.seeded = true;
        let costs = cell.each(&group.rules).filter(|(rule, _)| rule.unit == Unit::Cost);
        for ((rule, counter), micros) in costs.zip(spent) {
            counter.advance(rule.shape, now);
            // The larger of both, not the sum: the ledger may know what was charged here already.
            let used = counter.reading(rule.shape, rule.limit, now).used;
            counter.charge(rule.shape, micros.saturating_sub(used), 0);
        }
        Ok(())
    }

    /// The decision itself.
    fn step(&self, ask: Ask<'_>, now: u64) -> Result<Step, Error> {
        self.expire(now);
        // Held until the reservation is written, so that the same id asked for twice at once is charged once.
        let mut book = ask.reservation.map(|id| (id, self.book.lock()));
        if let Some((id, pages)) = &mut book {
            if pages.estimate(*id).is_some() {
                drop(book);
                return Ok(Step::Decided(Verdict::Admitted(self.report(ask.plan, ask.subjects, now))));
            }
            if !pages.has_room() {
                return Err(Error::TooManyReservations);
            }
        }
        let mut trial = Trial::new(&ask);
        for (table, scope) in self.tables.iter().zip(Scope::ALL) {
            let Some(group) = ask.plan.group(scope).filter(|group| !group.rules.is_empty()) else { continue };
            let Some(subject) = ask.subjects.of(scope) else { continue };
            let Some(held) = table.enter(subject, group, now) else { continue };
            trial.look(scope, group, held, now);
        }
        if ask.cost_micros > 0 && self.ledger.is_some() {
            let scopes = trial.unseeded();
            if !scopes.is_empty() {
                return Ok(Step::Seed(scopes));
            }
        }
        if trial.is_refused() {
            return Ok(Step::Decided(Verdict::Denied(trial.denial(now))));
        }
        let (report, charges) = trial.charge(now);
        if let Some((id, mut pages)) = book {
            let ttl = ask.ttl.as_micros() as u64;
            pages.add(id, ask.held(), charges.into_boxed_slice(), now, ttl);
            self.due.store(pages.due(), Ordering::Relaxed);
        }
        Ok(Step::Decided(Verdict::Admitted(report)))
    }

    pub(crate) fn conclude(&self, id: ReservationId, actual: Option<u64>) -> Settled {
        let now = self.clock.now();
        self.expire(now);
        let mut book = self.book.lock();
        let (answer, change) = book.conclude(id, actual, now);
        self.due.store(book.due(), Ordering::Relaxed);
        drop(book);
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

    /// How many subjects are kept, how many were forgotten with counts, and how many reservations are open.
    pub(crate) fn census(&self) -> (usize, u64, usize) {
        let (mut kept, mut evicted) = (0, 0);
        for table in &self.tables {
            let (some, gone) = table.census();
            kept += some;
            evicted += gone;
        }
        (kept, evicted, self.book.lock().open())
    }

    fn table(&self, scope: Scope) -> Option<&Table> {
        self.tables.get(scope as usize)
    }

    fn report(&self, plan: &Plan, subjects: &Subjects<'_>, now: u64) -> Report {
        let mut statuses = Vec::with_capacity(plan.limits().len());
        for (scope, group) in plan.groups() {
            let Some(subject) = subjects.of(scope) else { continue };
            let rules = &group.rules;
            let mut held = self.table(scope).and_then(|table| table.find(subject, group.print));
            let first = statuses.len();
            statuses.extend_from_slice(&group.blank);
            let Some(cell) = held.as_mut().and_then(Held::cell) else { continue };
            for ((rule, counter), status) in cell.each(rules).zip(statuses.iter_mut().skip(first)) {
                counter.advance(rule.shape, now);
                status.fill(counter.reading(rule.shape, rule.limit, now));
            }
        }
        Report::new(statuses, false)
    }

    fn expire(&self, now: u64) {
        while now >= self.due.load(Ordering::Relaxed) {
            let mut book = self.book.lock();
            let change = book.expire_one(now);
            self.due.store(book.due(), Ordering::Relaxed);
            drop(book);
            let Some(change) = change else { return };
            self.apply(&change, now);
        }
    }

    fn apply(&self, change: &Change, now: u64) {
        for charge in &change.charges {
            let Some(table) = self.table(charge.scope) else { continue };
            let held = if change.overage > 0 {
                table.enter(&charge.subject, &charge.group, now)
            } else {
                table.find(&charge.subject, charge.group.print)
            };
            let Some(mut held) = held else { continue };
            let Some(cell) = held.cell() else { continue };
            let same = cell.born == charge.born;
            let held = cell.each(&charge.group.rules).filter(|(rule, _)| rule.unit == change.unit);
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
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        self.decide(ask).await
    }

    async fn settle(&self, _: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        Ok(self.conclude(id, Some(actual_micros)))
    }

    async fn release(&self, _: &Plan, id: ReservationId) -> Result<Settled, Error> {
        Ok(self.conclude(id, None))
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        Ok(self.usage_now(plan, subjects))
    }
}
