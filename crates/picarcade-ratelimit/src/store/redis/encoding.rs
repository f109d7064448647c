//! The limits of one scope as keys and scripts contain them.
//!
//! Descriptors are MessagePack arrays of whole numbers, which Redis unpacks in one call. They are
//! short, because Redis hashes every byte that it passes to a script.

use std::sync::Arc;
use std::time::Duration;

use super::layout::{KIND_BUCKETS, KIND_LEAKY, RULE_NUMBERS, UNIT_COST, UNIT_REQUESTS};
use crate::hash::fnv1a;
use crate::limit::{Group, Rule, Shape};
use crate::{Plan, Scope, Unit};

/// The encoded limits of one scope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    /// The hash of the layout in hexadecimal, as keys contain it.
    pub(super) layout_hash: Box<str>,
    /// The rules as scripts read them.
    pub(super) descriptor: Box<[u8]>,
    /// A hash of the amounts of the limits, below 2^53. A state contains the hash of the limits for
    /// which its room was computed.
    pub(super) limits_hash: u64,
    /// The number of rules.
    pub(super) rules: usize,
}

impl Encoded {
    /// Returns the encoded limits of `scope`, which are computed once for each plan.
    pub(super) fn of(plan: &Plan, scope: Scope) -> Option<&Arc<Self>> {
        plan.group(scope).derived(|group| Arc::new(Self::new(group)))
    }

    fn new(group: &Group) -> Self {
        Self {
            layout_hash: format!("{:08x}", group.layout_hash).into(),
            descriptor: descriptor(&group.rules).into(),
            limits_hash: fnv1a(group.rules.iter().flat_map(|rule| rule.limit.to_le_bytes())) >> 11,
            rules: group.rules.len(),
        }
    }
}

/// Returns the descriptor of `rules`; see `lua/counters.lua`.
fn descriptor(rules: &[Rule]) -> Vec<u8> {
    let life = rules.iter().map(|rule| life(rule).as_millis() as u64 + 1).max().unwrap_or(1);
    let mut packed = vec![0xdc];
    packed.extend_from_slice(&((1 + RULE_NUMBERS * rules.len()) as u16).to_be_bytes());
    put(&mut packed, life);
    for rule in rules {
        let unit = match rule.unit {
            Unit::Requests => UNIT_REQUESTS,
            Unit::Cost => UNIT_COST,
        };
        let shape = match rule.shape {
            Shape::Buckets(buckets) => [KIND_BUCKETS, buckets.width, buckets.span, 0],
            Shape::Leaky(leaky) => [KIND_LEAKY, leaky.unit, leaky.rate, leaky.burst],
        };
        for number in [unit, rule.limit].into_iter().chain(shape) {
            put(&mut packed, number);
        }
    }
    packed
}

/// Appends a number in the shortest form of MessagePack.
fn put(packed: &mut Vec<u8>, number: u64) {
    match number {
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
    }
}

/// Returns how long a counter matters after its last charge: its window, and two sub-buckets for
/// the edges.
fn life(rule: &Rule) -> Duration {
    match rule.shape {
        Shape::Buckets(buckets) => Duration::from_micros(buckets.width.saturating_mul(buckets.span + 2)),
        Shape::Leaky(leaky) => Duration::from_micros(leaky.capacity() / leaky.rate + leaky.unit),
    }
}
