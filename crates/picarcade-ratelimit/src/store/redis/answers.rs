//! The answer to a batch, divided among its requests.
//!
//! The script returns each state as it was, and for each request whether it passed. The report of a
//! request that passed follows from the state and from what passed before it. So the answer to a
//! batch is hardly longer than the answer to one request. If a single byte of an answer does not
//! follow from the batch, all of it is an error.

use bytes::Bytes;

use super::super::contract::Step;
use super::batch::{Batch, Row};
use super::bytes::{double, malformed_reply};
use super::layout::{ADMITTED, ANSWER_HEAD, DOUBLE, READING, ROW_PASSED, ROW_WHOLE};
use super::reply::{self, Comparison};
use super::state;
use crate::{Error, Plan, Scope, StoreDecision};

impl Batch {
    /// Divides the answer of the script among the requests.
    pub(super) fn answers(&self, bytes: Bytes) -> Result<Answers, Error> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        let now = double(reader.take(DOUBLE)?.1) as u64;
        let mut standing = Vec::with_capacity(self.states.len());
        for _ in &self.states {
            let &[low, high] = reader.take(2)?.1 else { return Err(malformed_reply()) };
            let (from, state) = reader.take(usize::from(u16::from_le_bytes([low, high])))?;
            standing.push(Standing {
                from,
                length: state.len(),
                sum: state::passed(state).unwrap_or_default(),
            });
        }
        let rows = self.rows.iter().map(|row| self.row(row, &mut reader, &mut standing));
        let rows = rows.collect::<Result<_, _>>()?;
        if reader.at != bytes.len() {
            return Err(malformed_reply());
        }
        Ok(Answers { now, rows, bytes })
    }

    fn row(&self, row: &Row, reader: &mut Reader<'_>, standing: &mut [Standing]) -> Result<RowAnswer, Error> {
        let places = row.states.iter().map(|place| usize::from(*place));
        match reader.take(1)?.1 {
            [ROW_PASSED] => {
                let mut states = [Standing::default(); Scope::COUNT];
                for (place, state) in places.zip(&mut states) {
                    let standing = standing.get_mut(place).ok_or_else(malformed_reply)?;
                    standing.sum = standing.sum.saturating_add(row.requests);
                    *state = *standing;
                }
                Ok(RowAnswer::Passed(states))
            }
            [ROW_WHOLE] => {
                let rules = |place| self.limits(place).map_or(0, |limits| limits.rules);
                let readings: usize = places.clone().map(|place| READING * rules(place)).sum();
                let length = DOUBLE * (ANSWER_HEAD + readings);
                let (from, whole) = reader.take(length)?;
                if double(whole) as u64 == ADMITTED {
                    // The next rows pass by the states as they are now.
                    for place in places {
                        let (from, state) = reader.take(state::length(rules(place)))?;
                        if let Some(standing) = standing.get_mut(place) {
                            *standing = Standing { from, length: state.len(), sum: 0 };
                        }
                    }
                }
                Ok(RowAnswer::Whole { from, length })
            }
            _ => Err(malformed_reply()),
        }
    }
}

/// The position of a state in the answer, and how many requests passed since it was written.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    from: usize,
    length: usize,
    sum: u64,
}

/// The answer to one request of a batch.
#[derive(Debug)]
enum RowAnswer {
    Passed([Standing; Scope::COUNT]),
    Whole { from: usize, length: usize },
}

/// The answers to all requests of a batch.
#[derive(Debug)]
pub(super) struct Answers {
    now: u64,
    rows: Vec<RowAnswer>,
    bytes: Bytes,
}

impl Answers {
    /// Reads the answer to the request with this index in the batch.
    pub(super) fn read(
        &self,
        index: usize,
        plan: &Plan,
        present: &[Scope],
    ) -> Result<Step<Comparison>, Error> {
        let part = |from: usize, length: usize| self.bytes.get(from..from + length).unwrap_or_default();
        match self.rows.get(index) {
            Some(RowAnswer::Passed(states)) => {
                let states = states.iter().map(|state| (part(state.from, state.length), state.sum));
                let report = state::report(plan, present, self.now, states)?;
                Ok(Step::Decided(StoreDecision::Admitted(report)))
            }
            Some(RowAnswer::Whole { from, length }) => reply::read(part(*from, *length), plan, present, 0),
            None => Err(malformed_reply()),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Returns the next bytes and their position.
    fn take(&mut self, length: usize) -> Result<(usize, &'a [u8]), Error> {
        let from = self.at;
        let taken = self.bytes.get(from..from + length).ok_or_else(malformed_reply)?;
        self.at += length;
        Ok((from, taken))
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{member, plan};
    use super::super::layout::STATE_PASSED;
    use super::*;
    use crate::Subjects;

    /// The answer of the script: the states as they were, then a byte for each request that passed.
    fn answer(states: usize, rows: usize) -> Vec<u8> {
        let mut bytes = 5.0_f64.to_le_bytes().to_vec();
        for state in 0..states {
            bytes.extend((state::length(1) as u16).to_le_bytes());
            let mut state_bytes = vec![0; state::length(1)];
            state_bytes[STATE_PASSED] = state as u8;
            bytes.extend(state_bytes);
        }
        bytes.resize(bytes.len() + rows, ROW_PASSED);
        bytes
    }

    #[test]
    fn each_request_reads_its_own_answer_and_a_wrong_length_is_an_error() {
        let plan = plan(9);
        let mut batch = Batch::default();
        for user in [1, 2, 1] {
            assert!(batch.add(member(&plan, user)).is_ok());
        }
        let whole = answer(3, 3);
        let answers = batch.answers(whole.clone().into()).unwrap();
        let present = plan.present(&Subjects::default().user("x"));
        let used = |index| match answers.read(index, &plan, &present) {
            Ok(Step::Decided(StoreDecision::Admitted(report))) => {
                report.statuses.iter().map(|status| status.used).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        // 0, 1 and 2 requests passed by the states since they were written.
        assert_eq!([used(0), used(1), used(2)], [[1, 2], [3, 3], [2, 4]]);
        assert!(answers.read(3, &plan, &present).is_err());
        for length in 0..whole.len() {
            assert!(batch.answers(whole[..length].to_vec().into()).is_err(), "{length}");
        }
        assert!(batch.answers([whole, vec![0]].concat().into()).is_err());
    }
}
