//! What goes to the scripts and what comes back, in bytes.
//!
//! Descriptors are MessagePack arrays of whole numbers, which Redis unpacks in one call; answers are doubles, which one
//! call packs. Every number on the way is below 2^53 and so the same on both sides. An answer of another length than the
//! question implies is an error, never a guess.

use std::time::Duration;

use crate::counter::Reading;
use crate::plan::Rule;
use crate::window::Shape;
use crate::{Denial, Error, Outcome, Plan, Report, Scope, Settled, Status, Subjects, Unit, Verdict};

/// The descriptor of one scope's rules; see `lua/counters.lua`.
pub(crate) fn descriptor(rules: &[Rule]) -> Vec<u8> {
    let life = rules.iter().map(|rule| life(rule).as_millis() as u64 + 1).max().unwrap_or(1);
    let mut packed = Vec::with_capacity(4 + 9 * (2 + 6 * rules.len()));
    packed.push(0xdc);
    packed.extend_from_slice(&(2 + 6 * rules.len() as u16).to_be_bytes());
    let mut put = |number: u64| {
        packed.push(0xcf);
        packed.extend_from_slice(&number.to_be_bytes());
    };
    put(life);
    for rule in rules {
        put(if rule.unit == Unit::Requests { 1 } else { 2 });
        put(rule.limit);
        let (kind, a, b, c) = match rule.shape {
            Shape::Buckets(buckets) => (0, buckets.width, buckets.span, 0),
            Shape::Leaky(leaky) => (1, leaky.unit, leaky.rate, leaky.burst),
        };
        for number in [kind, a, b, c] {
            put(number);
        }
    }
    put(amounts(rules));
    packed
}

/// A number made of the limits' amounts, below 2^53: a state says for which of them its room was reckoned.
pub(crate) fn amounts(rules: &[Rule]) -> u64 {
    let bytes = rules.iter().flat_map(|rule| rule.limit.to_le_bytes());
    bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        >> 11
}

/// How long a counter matters after its last charge: its window, and two sub-buckets for the edges.
fn life(rule: &Rule) -> Duration {
    match rule.shape {
        Shape::Buckets(buckets) => Duration::from_micros(buckets.width.saturating_mul(buckets.span + 2)),
        Shape::Leaky(leaky) => Duration::from_micros(leaky.capacity() / leaky.rate + leaky.unit),
    }
}

/// The numbers before a state's counters; see `lua/fast.lua`.
const HEAD: usize = 4;
/// And whether it was seeded, before six for each rule.
const FIRST: usize = HEAD + 1;

/// Reads an answer of `lua/fast.lua`: the states as they were before `requests` were admitted.
fn passed(numbers: &[f64], plan: &Plan, present: &[Scope], requests: u64) -> Result<Answer, Error> {
    let (&[_, now], mut states) = numbers.split_at_checked(2).ok_or_else(nonsense)? else {
        return Err(nonsense());
    };
    let now = now as u64;
    let mut statuses = Vec::with_capacity(plan.limits().len());
    for scope in present {
        let Some(group) = plan.group(*scope) else { return Err(nonsense()) };
        let (state, others) = states.split_at_checked(FIRST + 6 * group.rules.len()).ok_or_else(nonsense)?;
        states = others;
        let sum = state.get(HEAD - 1).copied().unwrap_or_default() as u64 + requests;
        let first = statuses.len();
        statuses.extend_from_slice(&group.blank);
        let counters = state.get(FIRST..).unwrap_or_default().chunks_exact(6);
        for ((rule, counter), status) in group.rules.iter().zip(counters).zip(statuses.iter_mut().skip(first))
        {
            let (&[start, _, total, reserved, _, last], Shape::Buckets(buckets)) = (counter, rule.shape)
            else {
                return Err(nonsense());
            };
            let (added, last) = if rule.unit == Unit::Requests && sum > 0 { (sum, start) } else { (0, last) };
            let used = total as u64 + added;
            status.fill(Reading {
                used,
                reserved: (reserved as u64).min(used),
                remaining: rule.limit.saturating_sub(used),
                reset: if used > 0 { buckets.end(last as u64).saturating_sub(now) } else { 0 },
            });
        }
    }
    if !states.is_empty() {
        return Err(nonsense());
    }
    Ok(Answer::Decided(Verdict::Admitted(Report::new(statuses, false))))
}

/// What the acquire script answered.
#[derive(Debug)]
pub(super) enum Answer {
    Decided(Verdict),
    /// These scopes do not know what was spent before.
    Seed(Vec<Scope>),
}

/// Reads the answer of the acquire script; `present` are the scopes that were asked, in order.
pub(super) fn answer(bytes: &[u8], plan: &Plan, present: &[Scope], requests: u64) -> Result<Answer, Error> {
    let numbers = numbers(bytes)?;
    match numbers.first().map(|status| *status as u64) {
        Some(2) => {
            let bits = numbers.get(2).copied().unwrap_or_default() as u64;
            let missing = present.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
            return Ok(Answer::Seed(missing.map(|(_, scope)| *scope).collect()));
        }
        Some(3) => return Err(Error::TooManyReservations),
        Some(4) => return passed(&numbers, plan, present, requests),
        Some(0 | 1) => {}
        _ => return Err(nonsense()),
    }
    let rules: Vec<&Rule> = present.iter().flat_map(|scope| plan.of(*scope)).collect();
    let readings = numbers.get(2..).unwrap_or_default();
    if readings.len() != rules.len() * 4 {
        return Err(nonsense());
    }
    let mut statuses = Vec::with_capacity(rules.len());
    let (mut violated, mut retry_after, mut possible) = (Vec::new(), Duration::ZERO, true);
    for (rule, four) in rules.iter().zip(readings.chunks_exact(4)) {
        let &[used, reserved, reset, refusal] = four else { return Err(nonsense()) };
        let remaining = match rule.shape {
            Shape::Buckets(_) => rule.limit.saturating_sub(used as u64),
            Shape::Leaky(leaky) => leaky.burst.saturating_sub(used as u64),
        };
        let reading =
            Reading { used: used as u64, reserved: reserved as u64, remaining, reset: reset as u64 };
        let status = Status::new(rule, reading);
        statuses.push(status);
        if refusal != 0.0 {
            violated.push(status);
            possible &= refusal > 0.0;
            let wait =
                if refusal > 0.0 { Duration::from_micros(refusal as u64) } else { rule.window.length() };
            retry_after = retry_after.max(wait);
        }
    }
    let report = Report::new(statuses, false);
    Ok(Answer::Decided(if violated.is_empty() {
        Verdict::Admitted(report)
    } else {
        Verdict::Denied(Denial::new(violated, retry_after, possible, report))
    }))
}

/// Reads the answer of the settle script.
pub(super) fn settled(bytes: &[u8]) -> Result<Settled, Error> {
    let numbers = numbers(bytes)?;
    let &[outcome, estimate, charged, repeated] = numbers.as_slice() else { return Err(nonsense()) };
    let outcome = match outcome as u64 {
        0 => return Ok(Settled::unknown()),
        1 => Outcome::Settled,
        2 => Outcome::Released,
        3 => Outcome::Expired,
        _ => return Err(nonsense()),
    };
    Ok(Settled::new(outcome, estimate as u64, charged as u64, repeated != 0.0))
}

/// The scopes that have both rules and a subject, in order.
pub(super) fn present(plan: &Plan, subjects: &Subjects<'_>) -> Vec<Scope> {
    let applies = |scope: &Scope| !plan.of(*scope).is_empty() && subjects.of(*scope).is_some();
    Scope::ALL.into_iter().filter(applies).collect()
}

/// Whole numbers as scripts take them.
pub(super) fn doubles(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 * numbers.len());
    for number in numbers {
        bytes.extend_from_slice(&(*number as f64).to_le_bytes());
    }
    bytes
}

fn numbers(bytes: &[u8]) -> Result<Vec<f64>, Error> {
    if !bytes.len().is_multiple_of(8) {
        return Err(nonsense());
    }
    Ok(bytes.chunks_exact(8).filter_map(|eight| eight.try_into().ok()).map(f64::from_le_bytes).collect())
}

pub(super) fn nonsense() -> Error {
    Error::Unavailable { reason: "the script answered something else".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limit, Window};

    #[test]
    fn answers_of_a_wrong_length_are_errors() {
        let plan = Plan::new(vec![Limit::requests(Scope::User, 5, Window::UtcDay)]).unwrap();
        for bytes in [&[][..], &[0; 7], &[0; 16], &[0; 56]] {
            assert!(answer(bytes, &plan, &[Scope::User], 1).is_err());
        }
        assert!(answer(&[0; 48], &plan, &[Scope::User], 1).is_ok());
        assert!(settled(&[0; 24]).is_err());
    }
}
