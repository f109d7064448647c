//! The answers of the acquire and settle scripts.

use super::super::contract::Step;
use super::bytes::{double, doubles, malformed_reply};
use super::layout::{
    ADMITTED, ANSWER_HEAD, COMPARE, DENIED, DOUBLE, EXPIRED, PASSED, READING, RELEASED, SETTLED, TOO_MANY,
    UNKNOWN,
};
use super::state;
use crate::counter::{Reading, Refusal};
use crate::denial::Refusals;
use crate::limit::{Rule, Shape};
use crate::{Error, LimitStatus, Outcome, Plan, Report, Scope, Settled, StoreDecision};

/// The scopes whose counters must be compared with the ledger.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) scopes: Vec<Scope>,
    /// The epoch and the phase of the comparison, before the ledger is read.
    pub(super) stamp: u64,
}

/// Reads the answer of the acquire script to a request over the scopes `present`.
pub(super) fn read(
    bytes: &[u8],
    plan: &Plan,
    present: &[Scope],
    requests: u64,
) -> Result<Step<Comparison>, Error> {
    if let Some((head, states)) = bytes.split_at_checked(ANSWER_HEAD * DOUBLE)
        && double(head) as u64 == PASSED
    {
        let now = double(head.get(DOUBLE..).unwrap_or_default()) as u64;
        return passed(now, states, plan, present, requests);
    }
    let numbers = doubles(bytes)?;
    match numbers.first().map(|status| *status as u64) {
        Some(COMPARE) => {
            let &[_, _, bits, stamp] = numbers.as_slice() else { return Err(malformed_reply()) };
            let bits = bits as u64;
            let missing = present.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
            let scopes = missing.map(|(_, scope)| *scope).collect();
            Ok(Step::Compare(Comparison { scopes, stamp: stamp as u64 }))
        }
        Some(TOO_MANY) => Err(Error::TooManyReservations),
        Some(ADMITTED | DENIED) => {
            let readings = numbers.get(ANSWER_HEAD..).unwrap_or_default();
            decision(readings, plan, present).map(Step::Decided)
        }
        _ => Err(malformed_reply()),
    }
}

/// Reads an answer of `lua/fast.lua`: the states before `requests` were admitted.
fn passed(
    now: u64,
    mut states: &[u8],
    plan: &Plan,
    present: &[Scope],
    requests: u64,
) -> Result<Step<Comparison>, Error> {
    let mut next = |scope: &Scope| {
        let (state, others) = states.split_at_checked(state::length(plan.rules(*scope).len()))?;
        states = others;
        Some((state, state::passed(state)? + requests))
    };
    let report = state::report(plan, present, now, present.iter().map_while(&mut next))?;
    if states.is_empty() {
        Ok(Step::Decided(StoreDecision::Admitted(report)))
    } else {
        Err(malformed_reply())
    }
}

/// Reads the readings of all rules, four numbers each.
fn decision(readings: &[f64], plan: &Plan, present: &[Scope]) -> Result<StoreDecision, Error> {
    let rules: Vec<&Rule> = present.iter().flat_map(|scope| plan.rules(*scope)).collect();
    if readings.len() != rules.len() * READING {
        return Err(malformed_reply());
    }
    let (mut statuses, mut refusals) = (Vec::with_capacity(rules.len()), Refusals::default());
    for (rule, reading) in rules.iter().zip(readings.chunks_exact(READING)) {
        let &[used, reserved, reset, refusal] = reading else { return Err(malformed_reply()) };
        let remaining = match rule.shape {
            Shape::Buckets(_) => rule.limit.saturating_sub(used as u64),
            Shape::Leaky(leaky) => leaky.burst.saturating_sub(used as u64),
        };
        let reading =
            Reading { used: used as u64, reserved: reserved as u64, remaining, reset: reset as u64 };
        let status = LimitStatus::new(rule, reading);
        statuses.push(status);
        if refusal != 0.0 {
            let refusal = if refusal > 0.0 { Refusal::For(refusal as u64) } else { Refusal::Never };
            refusals.add(status, refusal);
        }
    }
    let report = Report::new(statuses, false);
    Ok(if refusals.is_empty() {
        StoreDecision::Admitted(report)
    } else {
        StoreDecision::Denied(refusals.into_denial(report))
    })
}

/// Reads the answer of the settle script.
pub(super) fn settled(bytes: &[u8]) -> Result<Settled, Error> {
    let numbers = doubles(bytes)?;
    let &[outcome, estimate, charged, repeated] = numbers.as_slice() else { return Err(malformed_reply()) };
    let outcome = match outcome as u64 {
        UNKNOWN => return Ok(Settled::unknown()),
        SETTLED => Outcome::Settled,
        RELEASED => Outcome::Released,
        EXPIRED => Outcome::Expired,
        _ => return Err(malformed_reply()),
    };
    Ok(Settled::new(outcome, estimate as u64, charged as u64, repeated != 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limit, Window};

    #[test]
    fn an_answer_of_the_wrong_length_is_an_error() {
        let plan = Plan::new(vec![Limit::requests(Scope::User, 5, Window::UtcDay)]).unwrap();
        for bytes in [&[][..], &[0; 7], &[0; 16], &[0; 56]] {
            assert!(read(bytes, &plan, &[Scope::User], 1).is_err());
        }
        assert!(read(&[0; 48], &plan, &[Scope::User], 1).is_ok());
        assert!(settled(&[0; 24]).is_err());
    }
}
