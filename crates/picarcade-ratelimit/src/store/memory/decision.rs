//! One decision over cells that are locked one after the other: look at every limit, then charge every limit.
//!
//! The report is begun as a copy of what an untouched subject would get, and the numbers are written into it where it
//! stands: building it status by status costs more than all the counting.

use std::time::Duration;

use super::reservations::Charge;
use super::table::Held;
use crate::counter::Refusal;
use crate::limit::Group;
use crate::{Ask, Denial, Report, Scope, Status, Unit};

/// A locked cell, its rules, and where the report of them begins.
#[derive(Debug)]
struct Part<'a> {
    scope: Scope,
    group: &'a Group,
    held: Held<'a>,
    first: usize,
}

/// A decision under way.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    ask: &'a Ask<'a>,
    /// By scope, which is the order in which they were locked.
    parts: [Option<Part<'a>>; 4],
    statuses: Vec<Status>,
    /// Every limit that has no room, with when it has, by its place in `statuses`.
    refusals: Vec<(usize, Refusal)>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(ask: &'a Ask<'a>) -> Self {
        let statuses = Vec::with_capacity(ask.plan.limits().len());
        Self { ask, parts: [const { None }; 4], statuses, refusals: Vec::new() }
    }

    /// Takes in the cell of one scope, and whether its limits have room.
    pub(super) fn look(&mut self, scope: Scope, group: &'a Group, mut held: Held<'a>, now: u64) {
        let first = self.statuses.len();
        self.statuses.extend_from_slice(&group.blank);
        let Some(cell) = held.cell() else { return };
        for (index, (rule, counter)) in cell.each(&group.rules).enumerate() {
            let amount = rule.ask(self.ask.requests, self.ask.cost_micros);
            if let Some(refusal) = counter.refusal(rule.shape, rule.limit, now, amount) {
                self.refusals.push((first + index, refusal));
            }
        }
        if let Some(part) = self.parts.get_mut(scope as usize) {
            *part = Some(Part { scope, group, held, first });
        }
    }

    /// The scopes that count dollars and have not learned yet what was spent before.
    pub(super) fn unseeded(&mut self) -> Vec<Scope> {
        let counts = |part: &&mut Part<'_>| part.group.rules.iter().any(|rule| rule.unit == Unit::Cost);
        let parts = self.parts.iter_mut().flatten().filter(counts);
        parts
            .filter_map(|part| part.held.cell().is_some_and(|cell| !cell.seeded).then_some(part.scope))
            .collect()
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// Charges every limit; answers how they stand, and what a reservation has to remember.
    pub(super) fn charge(self, now: u64) -> (Report, Vec<Charge>) {
        let Self { ask, parts, mut statuses, .. } = self;
        let mut charges = Vec::new();
        let (unit, _) = ask.held();
        // Backwards, and each let go as soon as it is charged: the cell that everybody waits for was locked last.
        for Part { scope, group, mut held, first } in parts.into_iter().rev().flatten() {
            let Some(cell) = held.cell() else { continue };
            let born = cell.born;
            let mut starts = Vec::new();
            for ((rule, counter), status) in cell.each(&group.rules).zip(statuses.iter_mut().skip(first)) {
                let amount = rule.ask(ask.requests, ask.cost_micros);
                let reserved = if ask.reservation.is_some() && rule.unit == unit { amount } else { 0 };
                let start = counter.charge(rule.shape, amount, reserved);
                if reserved > 0 {
                    starts.push(start);
                }
                status.fill(counter.reading(rule.shape, rule.limit, now));
            }
            if starts.is_empty() {
                continue;
            }
            if unit == Unit::Cost {
                held.keep();
            }
            drop(held);
            let subject = ask.subjects.of(scope).unwrap_or_default().into();
            let (group, starts) = (group.clone(), starts.into_boxed_slice());
            charges.push(Charge { scope, group, subject, born, starts });
        }
        (Report::new(statuses, false), charges)
    }

    /// What a denial says.
    pub(super) fn denial(self, now: u64) -> Denial {
        let Self { parts, mut statuses, refusals, .. } = self;
        for Part { group, mut held, first, .. } in parts.into_iter().rev().flatten() {
            let Some(cell) = held.cell() else { continue };
            for ((rule, counter), status) in cell.each(&group.rules).zip(statuses.iter_mut().skip(first)) {
                status.fill(counter.reading(rule.shape, rule.limit, now));
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
}
