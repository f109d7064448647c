//! A subject's state as the scripts keep it, and the report of a request that passed by it.
//!
//! For the layout see `lua/counters.lua`. What is read here is a state as it was before some requests were admitted in
//! passing: whoever opens it next adds them to the newest buckets, and so does a report.

use crate::counter::Reading;
use crate::limit::Rule;
use crate::limit::Shape;
use crate::{Error, Plan, Report, Scope, Status, Unit};

use super::wire::nonsense;

/// Bytes before the rules, and of each rule.
const HEAD: usize = 42;
const RULE: usize = 23;
/// Where a state says how many requests were admitted since it was written, and to which time its rules were moved.
const SUM: usize = 21;
const AT: usize = 28;

/// The bytes of a state of so many rules.
pub(super) fn length(rules: usize) -> usize {
    HEAD + RULE * rules
}

/// How many requests were admitted since it was written.
pub(super) fn passed(state: &[u8]) -> Option<u64> {
    number(state, SUM)
}

/// How the limits of `present` stand at `now`, by the state of each scope and how many requests were admitted since it was
/// written.
pub(super) fn report<'a>(
    plan: &Plan,
    present: &[Scope],
    now: u64,
    states: impl Iterator<Item = (&'a [u8], u64)>,
) -> Result<Report, Error> {
    let mut statuses = Vec::with_capacity(plan.limits().len());
    let mut states = states;
    for scope in present {
        let (Some(group), Some((state, sum))) = (plan.group(*scope), states.next()) else {
            return Err(nonsense());
        };
        let (Some(at), true) = (number(state, AT), state.len() == length(group.rules.len())) else {
            return Err(nonsense());
        };
        let first = statuses.len();
        statuses.extend_from_slice(&group.blank);
        let counters = state.get(HEAD..).unwrap_or_default().chunks_exact(RULE);
        for ((rule, counter), status) in group.rules.iter().zip(counters).zip(statuses.iter_mut().skip(first))
        {
            fill(status, rule, counter, at, sum, now).ok_or_else(nonsense)?;
        }
    }
    Ok(Report::new(statuses, false))
}

fn fill(status: &mut Status, rule: &Rule, counter: &[u8], at: u64, sum: u64, now: u64) -> Option<()> {
    // A level never stands still, so nothing passes by it.
    let Shape::Buckets(buckets) = rule.shape else { return None };
    let (total, reserved, ago) = (number(counter, 7)?, number(counter, 14)?, *counter.get(22)?);
    let passed = rule.unit == Unit::Requests && sum > 0;
    let (used, ago) = if passed { (total.saturating_add(sum), 0) } else { (total, ago) };
    let last = buckets.start(at).saturating_sub(buckets.width.saturating_mul(u64::from(ago)));
    status.fill(Reading {
        used,
        reserved: reserved.min(used),
        remaining: rule.limit.saturating_sub(used),
        reset: if used > 0 { buckets.end(last).saturating_sub(now) } else { 0 },
    });
    Some(())
}

/// The seven bytes at `at`, which is as much as a double holds exactly.
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let seven = bytes.get(at..)?.first_chunk::<7>()?;
    let mut eight = [0; 8];
    eight.first_chunk_mut::<7>()?.copy_from_slice(seven);
    Some(u64::from_le_bytes(eight))
}
