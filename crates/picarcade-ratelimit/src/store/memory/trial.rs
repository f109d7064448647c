//! One decision over cells that are locked one after the other: checks every limit, then charges
//! every limit.
//!
//! The report starts as a copy of the report of an untouched subject, and the numbers are written
//! into it in place. Building it status by status costs more than all the counting.

use super::reservations::Charge;
use super::table::Held;
use crate::counter::Refusal;
use crate::denial::Refusals;
use crate::limit::Group;
use crate::{Ask, Denial, LimitStatus, Report, Scope, Unit};

/// A locked cell, its rules, and the index of its first status.
#[derive(Debug)]
struct Part<'a> {
    scope: Scope,
    group: &'a Group,
    held: Held<'a>,
    first: usize,
}

/// A decision in progress.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    ask: &'a Ask<'a>,
    /// By scope, which is the order in which the cells were locked.
    parts: [Option<Part<'a>>; Scope::COUNT],
    statuses: Vec<LimitStatus>,
    /// The limits without room, by their index in `statuses`.
    refusals: Vec<(usize, Refusal)>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(ask: &'a Ask<'a>) -> Self {
        let statuses = Vec::with_capacity(ask.plan.limits().len());
        Self { ask, parts: [const { None }; Scope::COUNT], statuses, refusals: Vec::new() }
    }

    /// Adds the cell of one scope and checks its limits.
    pub(super) fn check(&mut self, scope: Scope, group: &'a Group, mut held: Held<'a>, now: u64) {
        let first = self.statuses.len();
        self.statuses.extend_from_slice(&group.blank);
        for (index, (rule, counter)) in held.each(&group.rules).enumerate() {
            let amount = self.ask.amount(rule.unit);
            if let Some(refusal) = counter.refusal(rule.shape, rule.limit, now, amount) {
                self.refusals.push((first + index, refusal));
            }
        }
        if let Some(part) = self.parts.get_mut(scope as usize) {
            *part = Some(Part { scope, group, held, first });
        }
    }

    /// Returns the scopes that count dollars and were not compared with the ledger yet.
    pub(super) fn unseeded(&self) -> Vec<Scope> {
        let counts = |part: &&Part<'_>| part.group.rules.iter().any(|rule| rule.unit == Unit::Cost);
        let parts = self.parts.iter().flatten().filter(|part| !part.held.seeded);
        parts.filter(counts).map(|part| part.scope).collect()
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// Charges every limit. Returns the report, and what a reservation has to remember.
    pub(super) fn charge(self, now: u64) -> (Report, Vec<Charge>) {
        let Self { ask, parts, mut statuses, .. } = self;
        let mut charges = Vec::new();
        let (unit, _) = ask.held();
        // In reverse, and each cell is unlocked as soon as it is charged: the last one, of the
        // global scope, is the one that every request waits for.
        for Part { scope, group, mut held, first } in parts.into_iter().rev().flatten() {
            let born = held.born;
            let mut starts = Vec::new();
            for ((rule, counter), status) in held.each(&group.rules).zip(statuses.iter_mut().skip(first)) {
                let amount = ask.amount(rule.unit);
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

    /// Returns the denial. Charges nothing.
    pub(super) fn deny(self, now: u64) -> Denial {
        let Self { parts, mut statuses, refusals, .. } = self;
        for Part { group, mut held, first, .. } in parts.into_iter().rev().flatten() {
            for ((rule, counter), status) in held.each(&group.rules).zip(statuses.iter_mut().skip(first)) {
                status.fill(counter.reading(rule.shape, rule.limit, now));
            }
        }
        let mut refused = Refusals::default();
        for (index, refusal) in refusals {
            if let Some(status) = statuses.get(index) {
                refused.add(*status, refusal);
            }
        }
        refused.into_denial(Report::new(statuses, false))
    }
}
