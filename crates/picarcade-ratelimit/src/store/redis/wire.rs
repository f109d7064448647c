//! What goes to the scripts and what comes back, in bytes.
//!
//! Descriptors are MessagePack arrays of whole numbers, which Redis unpacks in one call; answers are doubles, which one
//! call packs, or states as they are kept. Every number on the way is below 2^53 and so the same on both sides. An answer of
//! another length than the question implies is an error, never a guess. Arguments are short, because Redis hashes every
//! byte that it hands to a script.

use std::ops::Deref;
use std::time::Duration;

use super::state;
use crate::counter::Reading;
use crate::limit::Rule;
use crate::limit::Shape;
use crate::{Denial, Error, Outcome, Plan, Report, Scope, Settled, Status, Subjects, Unit, Verdict};

/// The descriptor of one scope's rules; see `lua/counters.lua`.
pub(crate) fn descriptor(rules: &[Rule]) -> Vec<u8> {
    let life = rules.iter().map(|rule| life(rule).as_millis() as u64 + 1).max().unwrap_or(1);
    let mut packed = vec![0xdc];
    packed.extend_from_slice(&(1 + 6 * rules.len() as u16).to_be_bytes());
    let mut put = |number: u64| match number {
        ..=0x7f => packed.push(number as u8),
        0x80..=0xffff => {
            packed.push(0xcd);
            packed.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            packed.push(0xce);
            packed.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            packed.push(0xcf);
            packed.extend_from_slice(&number.to_be_bytes());
        }
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

/// What the acquire script answered.
#[derive(Debug)]
pub(super) enum Answer {
    Decided(Verdict),
    /// These scopes have to be compared with the cost ledger first.
    Seed {
        scopes: Vec<Scope>,
        /// What the comparison is stamped with: the epoch and the phase before the ledger was read.
        stamp: u64,
    },
}

/// The status of an answer of `lua/fast.lua`.
const PASSED: f64 = 4.0;

/// Reads an answer of `lua/fast.lua`: the states as they were before `requests` were admitted.
fn passed(
    now: u64,
    mut states: &[u8],
    plan: &Plan,
    present: &[Scope],
    requests: u64,
) -> Result<Answer, Error> {
    let mut next = |scope: &Scope| {
        let (state, others) = states.split_at_checked(state::length(plan.of(*scope).len()))?;
        states = others;
        Some((state, state::passed(state)? + requests))
    };
    let report = state::report(plan, present, now, present.iter().map_while(&mut next))?;
    if states.is_empty() { Ok(Answer::Decided(Verdict::Admitted(report))) } else { Err(nonsense()) }
}

/// Reads the answer of the acquire script; `present` are the scopes that were asked, in order.
pub(super) fn answer(bytes: &[u8], plan: &Plan, present: &[Scope], requests: u64) -> Result<Answer, Error> {
    if let Some((head, states)) = bytes.split_at_checked(16)
        && double(head) == PASSED
    {
        return passed(double(head.get(8..).unwrap_or_default()) as u64, states, plan, present, requests);
    }
    let numbers = numbers(bytes)?;
    match numbers.first().map(|status| *status as u64) {
        Some(2) => {
            let &[_, _, bits, stamp] = numbers.as_slice() else { return Err(nonsense()) };
            let bits = bits as u64;
            let missing = present.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
            let scopes = missing.map(|(_, scope)| *scope).collect();
            return Ok(Answer::Seed { scopes, stamp: stamp as u64 });
        }
        Some(3) => return Err(Error::TooManyReservations),
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    scopes: [Scope; 4],
    count: usize,
}

impl Present {
    pub(super) fn new(plan: &Plan, subjects: &Subjects<'_>) -> Self {
        let mut present = Self { scopes: Scope::ALL, count: 0 };
        for scope in Scope::ALL {
            if !plan.of(scope).is_empty()
                && subjects.of(scope).is_some()
                && let Some(place) = present.scopes.get_mut(present.count)
            {
                *place = scope;
                present.count += 1;
            }
        }
        present
    }
}

impl Deref for Present {
    type Target = [Scope];

    fn deref(&self) -> &[Scope] {
        self.scopes.get(..self.count).unwrap_or_default()
    }
}

/// A whole number as a double.
pub(super) fn put_double(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&(number as f64).to_le_bytes());
}

/// A whole number in the lowest `width` of its eight bytes.
pub(super) fn put(bytes: &mut Vec<u8>, number: u64, width: usize) {
    bytes.extend(number.to_le_bytes().iter().take(width));
}

/// The double that `bytes` begin with.
pub(super) fn double(bytes: &[u8]) -> f64 {
    bytes.first_chunk::<8>().map_or(f64::NAN, |eight| f64::from_le_bytes(*eight))
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
