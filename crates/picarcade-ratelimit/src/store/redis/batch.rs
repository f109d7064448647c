//! A batch: several requests that one script decides one after the other.
//!
//! A batch names each state once, even if several requests concern it, so the global limit of a
//! fleet is read and written once for all of them. The number of requests and of states is bounded,
//! because Redis does nothing else while a script runs. A request that passes takes about a
//! microsecond of the server, one that is denied 15 to 30, and a state whose buckets end about 50.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::bytes::{put, put_double};
use super::encoding::Encoded;
use super::layout::NUMBER;

/// The most requests of one batch. The slowest batch takes about a millisecond.
pub(super) const MAX_REQUESTS: usize = 32;
/// The most states of one batch.
const MAX_STATES: usize = 20;

/// One state that a request concerns.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) limits: Arc<Encoded>,
}

/// One request without dollars, with a state for each of its scopes.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) requests: u64,
    /// The time to live of reservations of the limiter, in milliseconds. States outlive it.
    pub(super) keep: u64,
    pub(super) parts: Vec<Part>,
}

/// One request of the batch: its number of requests and the indexes of its states.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) requests: u64,
    pub(super) states: Vec<u8>,
}

/// Requests that are sent to Redis together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The keys of the states, in the order of `states`.
    keys: Vec<String>,
    /// The index of the limits of each state in `kinds`.
    pub(super) states: Vec<u8>,
    by_key: HashTable<u8>,
    hasher: RandomState,
    kinds: Vec<Arc<Encoded>>,
    pub(super) rows: Vec<Row>,
    keep: u64,
}

impl Batch {
    /// Adds a request. Returns it if the batch is full, or if another request in it counts one of
    /// the states by other limits.
    pub(super) fn add(&mut self, member: Member) -> Result<(), Member> {
        let new_states = member.parts.iter().filter(|part| self.find(&part.key).is_none()).count();
        if self.rows.len() >= MAX_REQUESTS
            || self.states.len() + new_states > MAX_STATES
            || member.parts.iter().any(|part| self.has_other_limits(part))
        {
            return Err(member);
        }
        self.keep = self.keep.max(member.keep);
        let states = member.parts.into_iter().map(|part| self.place(part)).collect();
        self.rows.push(Row { requests: member.requests, states });
        Ok(())
    }

    fn find(&self, key: &str) -> Option<u8> {
        let same = |place: &u8| self.keys.get(usize::from(*place)).is_some_and(|known| known == key);
        self.by_key.find(self.hasher.hash_one(key), same).copied()
    }

    fn has_other_limits(&self, part: &Part) -> bool {
        let known = self.find(&part.key).and_then(|place| self.limits(usize::from(place)));
        known.is_some_and(|limits| *limits != part.limits)
    }

    /// Returns the limits of the state with this index.
    pub(super) fn limits(&self, place: usize) -> Option<&Arc<Encoded>> {
        self.states.get(place).and_then(|kind| self.kinds.get(usize::from(*kind)))
    }

    /// Returns the index of a state, which is added if it is new. There are at most `MAX_STATES`,
    /// so an index fits into a byte.
    fn place(&mut self, part: Part) -> u8 {
        if let Some(place) = self.find(&part.key) {
            return place;
        }
        let place = self.states.len() as u8;
        let kind = self.kinds.iter().position(|limits| *limits == part.limits).unwrap_or(self.kinds.len());
        if kind == self.kinds.len() {
            self.kinds.push(part.limits);
        }
        self.states.push(kind as u8);
        let (keys, hasher) = (&mut self.keys, &self.hasher);
        self.by_key.insert_unique(hasher.hash_one(&part.key), place, |place| {
            hasher.hash_one(keys.get(usize::from(*place)).map(String::as_str).unwrap_or_default())
        });
        keys.push(part.key);
        place
    }

    /// Returns the keys of `lua/batch.lua`.
    pub(super) fn keys(&mut self, deadlines: String) -> Vec<String> {
        let mut keys = Vec::with_capacity(self.keys.len() + 1);
        keys.push(deadlines);
        keys.append(&mut self.keys);
        keys
    }

    /// Returns the arguments of `lua/batch.lua`. With time 0 the script uses that of the server.
    pub(super) fn arguments(&self, time: u64) -> [Vec<u8>; 3] {
        let mut head = Vec::with_capacity(14 + NUMBER * self.kinds.len() + self.states.len());
        put_double(&mut head, time);
        put(&mut head, self.keep, 5);
        head.push(self.kinds.len() as u8);
        for limits in &self.kinds {
            put(&mut head, limits.limits_hash, NUMBER);
        }
        head.extend(self.states.iter().map(|kind| kind + 1));
        let mut rows = Vec::with_capacity(12 * self.rows.len());
        for row in &self.rows {
            put(&mut rows, row.requests, NUMBER);
            rows.push(row.states.len() as u8);
            rows.extend(row.states.iter().map(|place| place + 1));
        }
        let descriptors = self.kinds.iter().flat_map(|limits| limits.descriptor.iter().copied()).collect();
        [head, rows, descriptors]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Limit, Plan, Scope, Window};

    pub(crate) fn plan(limit: u64) -> Plan {
        let of = |scope| Limit::requests(scope, limit, Window::UtcDay);
        Plan::new(vec![of(Scope::User), of(Scope::Global)]).unwrap()
    }

    pub(crate) fn member(plan: &Plan, user: usize) -> Member {
        let part = |scope: Scope| {
            let key = if scope == Scope::User { format!("user {user}") } else { "all".to_owned() };
            Part { key, limits: Arc::clone(Encoded::of(plan, scope).unwrap()) }
        };
        Member { requests: 1, keep: 1, parts: [Scope::User, Scope::Global].map(part).into() }
    }

    fn fill(batch: &mut Batch, plan: &Plan, users: usize) -> usize {
        (0..1000).take_while(|index| batch.add(member(plan, index % users)).is_ok()).count()
    }

    #[test]
    fn a_batch_is_bounded_in_requests_and_in_states() {
        let plan = plan(9);
        assert_eq!(fill(&mut Batch::default(), &plan, 1), MAX_REQUESTS);
        assert_eq!(fill(&mut Batch::default(), &plan, 100), MAX_STATES - 1);
    }

    #[test]
    fn a_batch_names_every_state_once_and_has_one_limit_for_each() {
        let mut batch = Batch::default();
        assert_eq!(fill(&mut batch, &plan(9), 3), MAX_REQUESTS);
        let mut batch = Batch::default();
        assert!(batch.add(member(&plan(9), 1)).is_ok());
        assert!(batch.add(member(&plan(8), 2)).is_err(), "the global state, by another limit");
        assert!(batch.add(member(&plan(9), 2)).is_ok());
        let [_, rows, descriptors] = batch.arguments(0);
        assert_eq!(batch.keys("deadlines".to_owned()), ["deadlines", "user 1", "all", "user 2"]);
        assert_eq!(rows.len(), 2 * (7 + 1 + 2));
        let plan = plan(9);
        let encoded = Encoded::of(&plan, Scope::User).unwrap();
        assert_eq!(*descriptors, *encoded.descriptor, "both scopes have the same rules");
    }
}
