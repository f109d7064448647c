//! A subject's state as the scripts keep it, and the report of a request that passed by it.
//!
//! See `lua/counters.lua` for the layout. A state may have been written before some requests
//! passed. A script that opens it, and a report, add these requests to the newest buckets.

use super::bytes::{malformed_reply, number};
use super::layout::{RULE_AGE, RULE_RESERVED, RULE_TOTAL, STATE_AT, STATE_HEAD, STATE_PASSED, STATE_RULE};
use crate::counter::Reading;
use crate::limit::{Rule, Shape};
use crate::{Error, LimitStatus, Plan, Report, Scope, Unit};

/// Returns the length of a state with this number of rules.
pub(super) fn length(rules: usize) -> usize {
    STATE_HEAD + STATE_RULE * rules
}

/// Returns how many requests passed since the state was written.
pub(super) fn passed(state: &[u8]) -> Option<u64> {
    number(state, STATE_PASSED)
}

/// Returns the report of the scopes `present` at `now`. `states` has the state of each scope, and
/// how many requests passed since it was written.
pub(super) fn report<'a>(
    plan: &Plan,
    present: &[Scope],
    now: u64,
    mut states: impl Iterator<Item = (&'a [u8], u64)>,
) -> Result<Report, Error> {
    let mut statuses = Vec::with_capacity(plan.limits().len());
    for scope in present {
        let group = plan.group(*scope);
        let (state, sum) = states.next().ok_or_else(malformed_reply)?;
        let (Some(at), true) = (number(state, STATE_AT), state.len() == length(group.rules.len())) else {
            return Err(malformed_reply());
        };
        let first = statuses.len();
        statuses.extend_from_slice(&group.blank);
        let counters = state.get(STATE_HEAD..).unwrap_or_default().chunks_exact(STATE_RULE);
        for ((rule, counter), status) in group.rules.iter().zip(counters).zip(statuses.iter_mut().skip(first))
        {
            fill(status, rule, counter, at, sum, now).ok_or_else(malformed_reply)?;
        }
    }
    Ok(Report::new(statuses, false))
}

fn fill(status: &mut LimitStatus, rule: &Rule, counter: &[u8], at: u64, sum: u64, now: u64) -> Option<()> {
    let buckets = match rule.shape {
        Shape::Buckets(buckets) => buckets,
        // A level changes all the time, so no request passes by its state.
        Shape::Leaky(_) => return None,
    };
    let (total, reserved) = (number(counter, RULE_TOTAL)?, number(counter, RULE_RESERVED)?);
    let age = *counter.get(RULE_AGE)?;
    let passed = rule.unit == Unit::Requests && sum > 0;
    let (used, age) = if passed { (total.saturating_add(sum), 0) } else { (total, age) };
    let last = buckets.start(at).saturating_sub(buckets.width.saturating_mul(u64::from(age)));
    status.fill(Reading {
        used,
        reserved: reserved.min(used),
        remaining: rule.limit.saturating_sub(used),
        reset: if used > 0 { buckets.end(last).saturating_sub(now) } else { 0 },
    });
    Some(())
}
