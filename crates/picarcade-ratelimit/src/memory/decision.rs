//! One decision over cells that are locked: look at every limit, then charge every limit.

use std::time::Duration;

use super::reservations::Charge;
use super::table::Held;
use crate::counter::Refusal;
use crate::{Ask, Denial, Report, Scope, Status, Unit};

/// The cells of one call's subjects, by scope, locked in that order.
pub(super) type Locked<'a> = [Option<Held<'a>>; 4];

/// The scopes that count dollars and have not learned yet what was spent before.
pub(super) fn unseeded(cells: &mut Locked<'_>, ask: &Ask<'_>) -> Vec<Scope> {
    let mut scopes = Vec::new();
    for (scope, held) in Scope::ALL.into_iter().zip(cells) {
        let counts = ask.plan.of(scope).iter().any(|rule| rule.unit == Unit::Cost);
        if counts && held.as_mut().and_then(Held::cell).is_some_and(|cell| !cell.seeded) {
            scopes.push(scope);
        }
    }
    scopes
}

/// Every limit that has no room, with when it has, by its place in the plan's order of what is held.
pub(super) fn refusals(cells: &mut Locked<'_>, ask: &Ask<'_>, now: u64) -> Vec<(usize, Refusal)> {
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

/// Charges every limit; answers how they stand, and what a reservation has to remember.
pub(super) fn charge(cells: &mut Locked<'_>, ask: &Ask<'_>, now: u64) -> (Report, Vec<Charge>) {
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

/// What a denial says.
pub(super) fn denial(
    cells: &mut Locked<'_>,
    ask: &Ask<'_>,
    refusals: &[(usize, Refusal)],
    now: u64,
) -> Denial {
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
