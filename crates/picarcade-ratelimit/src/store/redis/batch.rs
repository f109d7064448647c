//! Several requests decided by one script, one after the other: what goes into a batch.
//!
//! A batch names each state once, whoever it concerns, so that a fleet's one global limit is read and written once for all
//! of them. It is bounded in requests and in states, and with them in bytes, because Redis does nothing else while a script
//! runs: a request that passes costs it a microsecond, one that is denied 15 to 30, and a state whose buckets end some 50.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::wire;

/// The most requests of one batch, and the most states that they concern: at its worst it takes about a millisecond.
pub(super) const MOST: usize = 32;
const MOST_STATES: usize = 20;

/// One state that a request concerns.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: String,
    /// The rules as scripts read them.
    pub(super) packed: Arc<[u8]>,
    /// The number made of the limits' amounts.
    pub(super) amounts: u64,
    pub(super) rules: usize,
}

/// One request: without dollars, and with one to four states.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) requests: u64,
    /// How long a reservation of its limiter lives, in ms: states outlive it.
    pub(super) keep: u64,
    pub(super) parts: Vec<Part>,
}

/// A state that some of the batch concern.
#[derive(Debug)]
pub(super) struct Shared {
    /// Its descriptor, by its place in the batch.
    kind: u8,
    pub(super) rules: usize,
}

/// What one of the batch asks: how many requests, of which states.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) requests: u64,
    pub(super) states: Vec<u8>,
}

/// The requests that go to Redis together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The names of the states, in the order of `states`.
    keys: Vec<String>,
    pub(super) states: Vec<Shared>,
    by_key: HashTable<u8>,
    hasher: RandomState,
    kinds: Vec<(Arc<[u8]>, u64)>,
    pub(super) rows: Vec<Row>,
    keep: u64,
}

impl Batch {
    /// One more, or the same one back: the batch is full, or another in it counts the same state by other limits.
    pub(super) fn add(&mut self, member: Member) -> Result<(), Member> {
        let news = member.parts.iter().filter(|part| self.find(&part.key).is_none()).count();
        if self.rows.len() >= MOST
            || self.states.len() + news > MOST_STATES
            || member.parts.iter().any(|part| self.disputes(part))
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

    fn disputes(&self, part: &Part) -> bool {
        let known = self.find(&part.key).and_then(|place| self.states.get(usize::from(place)));
        let kind = known.and_then(|state| self.kinds.get(usize::from(state.kind)));
        kind.is_some_and(|(packed, amounts)| *amounts != part.amounts || **packed != *part.packed)
    }

    /// The part's place among the states, which are at most four for each row and so fewer than 256.
    fn place(&mut self, part: Part) -> u8 {
        if let Some(place) = self.find(&part.key) {
            return place;
        }
        let place = self.states.len() as u8;
        let same = |(packed, amounts): &(Arc<[u8]>, u64)| {
            *amounts == part.amounts && (Arc::ptr_eq(packed, &part.packed) || **packed == *part.packed)
        };
        let kind = self.kinds.iter().position(same).unwrap_or(self.kinds.len());
        if kind == self.kinds.len() {
            self.kinds.push((part.packed, part.amounts));
        }
        self.states.push(Shared { kind: kind as u8, rules: part.rules });
        let (keys, hasher) = (&mut self.keys, &self.hasher);
        self.by_key.insert_unique(hasher.hash_one(&part.key), place, |place| {
            hasher.hash_one(keys.get(usize::from(*place)).map(String::as_str).unwrap_or_default())
        });
        keys.push(part.key);
        place
    }

    /// The keys as `lua/batch.lua` wants them.
    pub(super) fn keys(&mut self, deadlines: String) -> Vec<String> {
        let mut keys = Vec::with_capacity(self.keys.len() + 1);
        keys.push(deadlines);
        keys.append(&mut self.keys);
        keys
    }

    /// The arguments as `lua/batch.lua` wants them, at a time (0: the server's).
    pub(super) fn arguments(&self, time: u64) -> [Vec<u8>; 3] {
        let mut head = Vec::with_capacity(14 + 7 * self.kinds.len() + self.states.len());
        wire::put_double(&mut head, time);
        wire::put(&mut head, self.keep, 5);
        head.push(self.kinds.len() as u8);
        for (_, amounts) in &self.kinds {
            wire::put(&mut head, *amounts, 7);
        }
        head.extend(self.states.iter().map(|state| state.kind + 1));
        let mut rows = Vec::with_capacity(12 * self.rows.len());
        for row in &self.rows {
            wire::put(&mut rows, row.requests, 7);
            rows.push(row.states.len() as u8);
            rows.extend(row.states.iter().map(|place| place + 1));
        }
        let packed = self.kinds.iter().flat_map(|(packed, _)| packed.iter().copied()).collect();
        [head, rows, packed]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Limit, Plan, Scope, Window};

    pub(crate) fn plan(most: u64) -> Plan {
        let limit = |scope| Limit::requests(scope, most, Window::UtcDay);
        Plan::new(vec![limit(Scope::User), limit(Scope::Global)]).unwrap()
    }

    pub(crate) fn member(plan: &Plan, user: usize) -> Member {
        let part = |scope: Scope| {
            let group = plan.group(scope).unwrap();
            let key = if scope == Scope::User { format!("user {user}") } else { "all".to_owned() };
            Part { key, packed: Arc::clone(&group.packed), amounts: group.amounts, rules: group.rules.len() }
        };
        Member { requests: 1, keep: 1, parts: [Scope::User, Scope::Global].map(part).into() }
    }

    fn fill(batch: &mut Batch, plan: &Plan, users: usize) -> usize {
        (0..1000).take_while(|index| batch.add(member(plan, index % users)).is_ok()).count()
    }

    #[test]
    fn it_is_bounded_in_requests_and_in_states() {
        let plan = plan(9);
        assert_eq!(fill(&mut Batch::default(), &plan, 1), MOST);
        assert_eq!(fill(&mut Batch::default(), &plan, 100), MOST_STATES - 1);
    }

    #[test]
    fn every_state_is_named_once_and_one_count_has_one_limit() {
        let mut batch = Batch::default();
        assert_eq!(fill(&mut batch, &plan(9), 3), MOST);
        let mut batch = Batch::default();
        assert!(batch.add(member(&plan(9), 1)).is_ok());
        assert!(batch.add(member(&plan(8), 2)).is_err(), "everything, by another limit");
        assert!(batch.add(member(&plan(9), 2)).is_ok());
        let [_, rows, packed] = batch.arguments(0);
        assert_eq!(batch.keys("deadlines".to_owned()), ["deadlines", "user 1", "all", "user 2"]);
        assert_eq!(rows.len(), 2 * (7 + 1 + 2));
        assert_eq!(*packed, *plan(9).group(Scope::User).unwrap().packed, "both scopes have the same rules");
    }
}
