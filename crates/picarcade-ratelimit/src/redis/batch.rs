//! Several requests decided by one script, one after the other: what goes into a batch, and which answer is whose.
//!
//! A batch names each state once, whoever it concerns, so that a fleet's one global limit is read and written once for all
//! of them. It is bounded in requests and in states, and with them in bytes, because Redis does nothing else while a script
//! runs: a request that passes costs it a microsecond, one that is denied 15 to 30, and a state whose buckets end some 50.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::state;
use super::wire::{self, Answer, nonsense};
use crate::{Error, Plan, Scope, Verdict};

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
struct Shared {
    /// Its descriptor, by its place in the batch.
    kind: u8,
    rules: usize,
}

/// What one of the batch asks: how many requests, of which states.
#[derive(Debug)]
struct Row {
    requests: u64,
    states: Vec<u8>,
}

/// The requests that go to Redis together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The names of the states, in the order of `states`.
    keys: Vec<String>,
    states: Vec<Shared>,
    by_key: HashTable<u8>,
    hasher: RandomState,
    kinds: Vec<(Arc<[u8]>, u64)>,
    rows: Vec<Row>,
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

    /// Which part of the script's answer is whose.
    pub(super) fn answers(&self, bytes: Bytes) -> Result<Answers, Error> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        let now = wire::double(reader.take(8)?.1) as u64;
        let mut standing = Vec::with_capacity(self.states.len());
        for _ in &self.states {
            let &[low, high] = reader.take(2)?.1 else { return Err(nonsense()) };
            let (from, state) = reader.take(usize::from(u16::from_le_bytes([low, high])))?;
            standing.push(Standing {
                from,
                length: state.len(),
                sum: state::passed(state).unwrap_or_default(),
            });
        }
        let words = self.rows.iter().map(|row| self.word(row, &mut reader, &mut standing));
        let words = words.collect::<Result<_, _>>()?;
        if reader.at != bytes.len() {
            return Err(nonsense());
        }
        Ok(Answers { now, words, bytes })
    }

    fn word(&self, row: &Row, reader: &mut Reader<'_>, standing: &mut [Standing]) -> Result<Word, Error> {
        let places = row.states.iter().map(|place| usize::from(*place));
        match reader.take(1)?.1 {
            [0] => {
                let mut states = [Standing::default(); 4];
                for (place, state) in places.zip(&mut states) {
                    let standing = standing.get_mut(place).ok_or_else(nonsense)?;
                    standing.sum = standing.sum.saturating_add(row.requests);
                    *state = *standing;
                }
                Ok(Word::Passed(states))
            }
            [1] => {
                let rules = |place| self.states.get(place).map_or(0, |state: &Shared| state.rules);
                let readings: usize = places.clone().map(|place| 32 * rules(place)).sum();
                let (from, whole) = reader.take(16 + readings)?;
                // Admitted: what the next rows pass by is what the states are now.
                if whole.first_chunk::<8>() == Some(&0_f64.to_le_bytes()) {
                    for place in places {
                        let (from, state) = reader.take(state::length(rules(place)))?;
                        if let Some(standing) = standing.get_mut(place) {
                            *standing = Standing { from, length: state.len(), sum: 0 };
                        }
                    }
                }
                Ok(Word::Whole { from, length: 16 + readings })
            }
            _ => Err(nonsense()),
        }
    }
}

/// Where in the answer a state is, and how many requests passed since.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    from: usize,
    length: usize,
    sum: u64,
}

#[derive(Debug)]
enum Word {
    Passed([Standing; 4]),
    Whole { from: usize, length: usize },
}

/// The answers to all of a batch, from which each of its callers reads its own.
#[derive(Debug)]
pub(super) struct Answers {
    now: u64,
    words: Vec<Word>,
    bytes: Bytes,
}

impl Answers {
    /// The answer to the request that was the `index`-th of the batch.
    pub(super) fn of(&self, index: usize, plan: &Plan, present: &[Scope]) -> Result<Answer, Error> {
        let part = |from: usize, length: usize| self.bytes.get(from..from + length).unwrap_or_default();
        match self.words.get(index) {
            Some(Word::Passed(states)) => {
                let states = states.iter().map(|state| (part(state.from, state.length), state.sum));
                let report = state::report(plan, present, self.now, states)?;
                Ok(Answer::Decided(Verdict::Admitted(report)))
            }
            Some(Word::Whole { from, length }) => wire::answer(part(*from, *length), plan, present, 0),
            None => Err(nonsense()),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next bytes, and where they are.
    fn take(&mut self, length: usize) -> Result<(usize, &'a [u8]), Error> {
        let from = self.at;
        let taken = self.bytes.get(from..from + length).ok_or_else(nonsense)?;
        self.at += length;
        Ok((from, taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limit, Subjects, Window};

    fn plan(most: u64) -> Plan {
        let limit = |scope| Limit::requests(scope, most, Window::UtcDay);
        Plan::new(vec![limit(Scope::User), limit(Scope::Global)]).unwrap()
    }

    fn member(plan: &Plan, user: usize) -> Member {
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

    /// The answer of a script: the states as they were, then a byte for each that passed.
    fn answer(states: usize, rows: usize) -> Vec<u8> {
        let mut bytes = 5.0_f64.to_le_bytes().to_vec();
        for state in 0..states {
            bytes.extend((state::length(1) as u16).to_le_bytes());
            let mut state_bytes = vec![0; state::length(1)];
            state_bytes[21] = state as u8;
            bytes.extend(state_bytes);
        }
        bytes.resize(bytes.len() + rows, 0);
        bytes
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

    #[test]
    fn each_reads_its_own_answer_and_a_wrong_length_is_an_error() {
        let plan = plan(9);
        let mut batch = Batch::default();
        for user in [1, 2, 1] {
            assert!(batch.add(member(&plan, user)).is_ok());
        }
        let whole = answer(3, 3);
        let answers = batch.answers(whole.clone().into()).unwrap();
        let present = wire::Present::new(&plan, &Subjects::default().user("x"));
        let used = |index| match answers.of(index, &plan, &present) {
            Ok(Answer::Decided(Verdict::Admitted(report))) => {
                report.statuses.iter().map(|status| status.used).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        // States that had 0, 1 and 2 since they were written.
        assert_eq!([used(0), used(1), used(2)], [[1, 2], [3, 3], [2, 4]]);
        assert!(answers.of(3, &plan, &present).is_err());
        for length in 0..whole.len() {
            assert!(batch.answers(whole[..length].to_vec().into()).is_err(), "{length}");
        }
        assert!(batch.answers([whole, vec![0]].concat().into()).is_err());
    }
}
