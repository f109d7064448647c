//! Counts in this process: exact under concurrency, bounded, and without waiting.
//!
//! A decision locks the cells of its subjects in the order of the scopes (two-phase locking in one fixed order, so
//! that decisions cannot wait for each other in a circle), looks at every limit, and then charges every limit. The
//! book of reservations has its own lock, never held together with a cell's.
//!
//! Nothing here fails with the network. State is gone with the process; what it bounds, it bounds by forgetting the
//! least: see the shard's text for subjects. At the bound of open reservations money is closed.

mod cell;
mod reservations;
mod shard;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use self::reservations::{Change, Charge, Reservations};
use self::table::{Held, Table};
use crate::clock::Clock;
use crate::counter::{Counter, Refusal};
use crate::{
    Ask, Denial, Error, Plan, Report, ReservationId, Scope, Settled, Status, Store, Subjects, Unit, Verdict,
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
}

type Locked<'a> = [Option<Held<'a>>; 4];

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
        }
    }

    /// The same store on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn try_acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        self.acquire_at(ask, self.clock.now())
    }

    /// The decision itself.
    pub(crate) fn acquire_at(&self, ask: Ask<'_>, now: u64) -> Result<Verdict, Error> {
        self.expire(now);
        if let Some(id) = ask.reservation {
            let mut book = self.book.lock();
            if book.estimate(id).is_some() {
                drop(book);
                return Ok(Verdict::Admitted(self.report(ask.plan, ask.subjects, now)));
            }
            if !book.has_room() {
                return Err(Error::TooManyReservations);
            }
        }
        let mut cells = self.lock(&ask, now);
        let refusals = refusals(&mut cells, &ask, now);
        if !refusals.is_empty() {
            return Ok(Verdict::Denied(denial(&mut cells, &ask, &refusals, now)));
        }
        let (report, charges) = charge(&mut cells, &ask, now);
        drop(cells);
        if let Some(id) = ask.reservation {
            let (charges, ttl) = (charges.into_boxed_slice(), ask.ttl.as_micros() as u64);
            let mut book = self.book.lock();
            book.add(id, ask.held(), charges, now, ttl);
            self.due.store(book.due(), Ordering::Relaxed);
        }
        Ok(Verdict::Admitted(report))
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

    fn lock<'a>(&'a self, ask: &Ask<'_>, now: u64) -> Locked<'a> {
        Scope::ALL.map(|scope| {
            let group = ask.plan.group(scope).filter(|group| !group.rules.is_empty())?;
            self.table(scope)?.enter(ask.subjects.of(scope)?, group, now)
        })
    }

    fn report(&self, plan: &Plan, subjects: &Subjects<'_>, now: u64) -> Report {
        let mut statuses = Vec::with_capacity(plan.limits().len());
        for (scope, group) in plan.groups() {
            let Some(subject) = subjects.of(scope) else { continue };
            let rules = &group.rules;
            let mut held = self.table(scope).and_then(|table| table.find(subject, group.print));
            if let Some(cell) = held.as_mut().and_then(Held::cell) {
                statuses.extend(cell.each(rules).map(|(rule, counter)| {
                    counter.advance(rule.shape, now);
                    Status::new(rule, counter.reading(rule.shape, rule.limit, now))
                }));
            } else {
                statuses.extend(rules.iter().map(|rule| {
                    Status::new(rule, Counter::new(rule.shape).reading(rule.shape, rule.limit, now))
                }));
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

/// Every limit that has no room, with when it has, by its place in the plan's order of what is held.
fn refusals(cells: &mut Locked<'_>, ask: &Ask<'_>, now: u64) -> Vec<(usize, Refusal)> {
    let mut refusals = Vec::new();
    let mut index = 0;
    for (scope, held) in Scope::ALL.into_iter().zip(cells) {
        let Some(cell) = held.as_mut().and_then(Held::cell) else { continue };
        for (rule, counter) in cell.each(ask.plan.of(scope)) {
            let amount = rule.ask(ask.requests, ask.cost_micros);
            if let Some(refusal) = counter.refusal(rule.shape, rule.limit, now, amount) {
                refusals.push((index, refusal));
            }
            index += 1;
        }
    }
    refusals
}

fn charge(cells: &mut Locked<'_>, ask: &Ask<'_>, now: u64) -> (Report, Vec<Charge>) {
    let mut statuses = Vec::with_capacity(ask.plan.limits().len());
    let mut charges = Vec::new();
    let (unit, _) = ask.held();
    for (scope, held) in Scope::ALL.into_iter().zip(cells) {
        let (Some(held), Some(group)) = (held, ask.plan.group(scope)) else { continue };
        let Some(cell) = held.cell() else { continue };
        let born = cell.born;
        let mut starts = Vec::new();
        for (rule, counter) in cell.each(&group.rules) {
            let amount = rule.ask(ask.requests, ask.cost_micros);
            let reserved = if ask.reservation.is_some() && rule.unit == unit { amount } else { 0 };
            let start = counter.charge(rule.shape, amount, reserved);
            if reserved > 0 {
                starts.push(start);
            }
            statuses.push(Status::new(rule, counter.reading(rule.shape, rule.limit, now)));
        }
        if !starts.is_empty() {
            if unit == Unit::Cost {
                held.keep();
            }
            let subject = ask.subjects.of(scope).unwrap_or_default().into();
            charges.push(Charge {
                scope,
                group: group.clone(),
                subject,
                born,
                starts: starts.into_boxed_slice(),
            });
        }
    }
    (Report::new(statuses, false), charges)
}

fn denial(cells: &mut Locked<'_>, ask: &Ask<'_>, refusals: &[(usize, Refusal)], now: u64) -> Denial {
    let mut statuses = Vec::with_capacity(ask.plan.limits().len());
    for (scope, held) in Scope::ALL.into_iter().zip(cells) {
        let Some(cell) = held.as_mut().and_then(Held::cell) else { continue };
        for (rule, counter) in cell.each(ask.plan.of(scope)) {
            statuses.push(Status::new(rule, counter.reading(rule.shape, rule.limit, now)));
        }
    }
    let violated = refusals.iter().filter_map(|(index, _)| statuses.get(*index).copied()).collect();
    let waits = refusals.iter().map(|(index, refusal)| match refusal {
        Refusal::For(wait) => Duration::from_micros(*wait),
        Refusal::Never => statuses.get(*index).map(|status| status.window.length()).unwrap_or_default(),
    });
    let retry_after = waits.max().unwrap_or_default();
    let possible = refusals.iter().all(|(_, refusal)| *refusal != Refusal::Never);
    Denial::new(violated, retry_after, possible, Report::new(statuses, false))
}

#[async_trait]
impl Store for MemoryStore {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        self.try_acquire(ask)
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
