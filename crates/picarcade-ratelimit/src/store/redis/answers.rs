//! The answer to a batch: which part of it is whose.
//!
//! The script says how each state was and, of each request, whether it passed. How a limit stood when one of them passed
//! follows from that: the state, and what passed before it. So the answer to a batch is hardly longer than the answer to one.
//! An answer that is not to the last byte what the batch implies is an error for all of it.

use bytes::Bytes;

use super::batch::{Batch, Row, Shared};
use super::state;
use super::wire::{self, Answer, nonsense};
use crate::{Error, Plan, Scope, Verdict};

impl Batch {
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
    use super::super::batch::tests::{member, plan};
    use super::*;
    use crate::Subjects;

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
