//! The reservations of a store: pure, with the time as an argument.
//!
//! There are two sets in order of time: open reservations by deadline, and concluded ones by the
//! time at which they are forgotten. A concluded reservation is remembered for another period of
//! its time to live, so a repeated settlement gets the first answer.

use std::collections::{BTreeSet, HashMap};

use crate::limit::Group;
use crate::{Outcome, ReservationId, Scope, Settled, Unit};

/// What a reservation charged in one scope.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub(super) scope: Scope,
    pub(super) group: Group,
    pub(super) subject: Box<str>,
    pub(super) born: u64,
    /// The starts of the charged buckets, one for each rule of the held unit.
    pub(super) starts: Box<[u64]>,
}

#[derive(Debug)]
enum State {
    Open,
    Expired,
    Concluded(Settled),
}

#[derive(Debug)]
struct Record {
    unit: Unit,
    estimate: u64,
    state: State,
    charges: Box<[Charge]>,
    deadline: u64,
    ttl: u64,
}

/// The change of the counters after a reservation ended.
#[derive(Debug)]
pub(super) struct Change {
    /// The unit of the rules that change.
    pub(super) unit: Unit,
    pub(super) charges: Box<[Charge]>,
    /// The amount that is no longer reserved.
    pub(super) conclude: u64,
    /// The amount to give back to the charged buckets.
    pub(super) refund: u64,
    /// The amount to charge now, even past a limit.
    pub(super) overage: u64,
}

/// All reservations that are open or concluded and remembered.
#[derive(Debug)]
pub(super) struct Reservations {
    records: HashMap<ReservationId, Record>,
    deadlines: BTreeSet<(u64, ReservationId)>,
    forgets: BTreeSet<(u64, ReservationId)>,
    capacity: usize,
}

impl Reservations {
    pub(super) fn new(capacity: usize) -> Self {
        let (deadlines, forgets) = (BTreeSet::new(), BTreeSet::new());
        Self { records: HashMap::new(), deadlines, forgets, capacity: capacity.max(1) }
    }

    pub(super) fn open(&self) -> usize {
        self.deadlines.len()
    }

    /// Returns whether one more fits. At the bound, the oldest concluded reservations are forgotten
    /// first.
    pub(super) fn has_room(&mut self) -> bool {
        while self.records.len() >= self.capacity {
            let Some((_, id)) = self.forgets.pop_first() else { return false };
            self.records.remove(&id);
        }
        true
    }

    pub(super) fn add(
        &mut self,
        id: ReservationId,
        (unit, estimate): (Unit, u64),
        charges: Box<[Charge]>,
        now: u64,
        ttl: u64,
    ) {
        let deadline = now.saturating_add(ttl);
        self.records.insert(id, Record { unit, estimate, state: State::Open, charges, deadline, ttl });
        self.deadlines.insert((deadline, id));
    }

    pub(super) fn contains(&self, id: ReservationId) -> bool {
        self.records.contains_key(&id)
    }

    /// Returns the next time at which a reservation expires or is forgotten.
    pub(super) fn due(&self) -> u64 {
        let first = |times: &BTreeSet<(u64, ReservationId)>| times.first().map_or(u64::MAX, |(at, _)| *at);
        first(&self.deadlines).min(first(&self.forgets))
    }

    /// Expires one reservation that is past its deadline. Call it until it returns `None`.
    pub(super) fn expire_one(&mut self, now: u64) -> Option<Change> {
        while let Some(&(at, id)) = self.forgets.first().filter(|(at, _)| *at <= now) {
            self.forgets.remove(&(at, id));
            self.records.remove(&id);
        }
        while let Some(&(deadline, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, id));
            let Some(record) = self.records.get_mut(&id) else { continue };
            record.state = State::Expired;
            self.forgets.insert((deadline.saturating_add(record.ttl), id));
            return Some(Change {
                unit: record.unit,
                charges: record.charges.clone(),
                conclude: record.estimate,
                refund: 0,
                overage: 0,
            });
        }
        None
    }

    /// Settles at `actual`, or releases without one. Later calls return the first answer.
    pub(super) fn conclude(
        &mut self,
        id: ReservationId,
        actual: Option<u64>,
        now: u64,
    ) -> (Settled, Option<Change>) {
        let Some(record) = self.records.get_mut(&id) else { return (Settled::unknown(), None) };
        let estimate = record.estimate;
        let mut change =
            Change { unit: record.unit, charges: Box::default(), conclude: 0, refund: 0, overage: 0 };
        let answer = match record.state {
            State::Concluded(answer) => return (Settled { repeated: true, ..answer }, None),
            State::Open => {
                let charged = actual.unwrap_or(0);
                change.conclude = estimate;
                change.refund = estimate.saturating_sub(charged);
                change.overage = charged.saturating_sub(estimate);
                self.deadlines.remove(&(record.deadline, id));
                self.forgets.insert((now.saturating_add(record.ttl), id));
                let outcome = if actual.is_some() { Outcome::Settled } else { Outcome::Released };
                Settled::new(outcome, estimate, charged, false)
            }
            State::Expired => {
                let charged = actual.unwrap_or(0).max(estimate);
                change.overage = charged - estimate;
                Settled::new(Outcome::Expired, estimate, charged, false)
            }
        };
        record.state = State::Concluded(answer);
        change.charges = std::mem::take(&mut record.charges);
        (answer, Some(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> (Reservations, ReservationId) {
        let mut book = Reservations::new(3);
        let id = ReservationId::random();
        book.add(id, (Unit::Cost, 10), Box::default(), 0, 100);
        (book, id)
    }

    #[test]
    fn a_repeated_settlement_returns_the_first_answer() {
        let (mut book, id) = book();
        let (answer, change) = book.conclude(id, Some(4), 1);
        assert_eq!(answer, Settled::new(Outcome::Settled, 10, 4, false));
        let change = change.unwrap();
        assert_eq!((change.conclude, change.refund, change.overage), (10, 6, 0));
        let (again, change) = book.conclude(id, Some(9), 2);
        assert_eq!(again, Settled { repeated: true, ..answer });
        assert!(change.is_none());
        assert_eq!(book.open(), 0);
    }

    #[test]
    fn a_settlement_after_the_deadline_only_adds_cost() {
        let (mut book, id) = book();
        assert!(book.expire_one(99).is_none());
        let change = book.expire_one(100).unwrap();
        assert_eq!((change.conclude, change.refund, change.overage), (10, 0, 0));
        assert!(book.expire_one(100).is_none());
        let (answer, change) = book.conclude(id, Some(13), 101);
        assert_eq!(answer, Settled::new(Outcome::Expired, 10, 13, false));
        assert_eq!(change.unwrap().overage, 3);
        assert!(book.expire_one(200).is_none());
        assert_eq!(book.conclude(id, Some(1), 200).0.outcome, Outcome::Unknown);
    }

    #[test]
    fn concluded_reservations_make_room_and_open_ones_do_not() {
        let (mut book, first) = book();
        book.add(ReservationId::random(), (Unit::Cost, 1), Box::default(), 1, 100);
        book.add(ReservationId::random(), (Unit::Cost, 1), Box::default(), 1, 100);
        assert!(!book.has_room());
        let _ = book.conclude(first, None, 2);
        assert!(book.has_room());
        assert_eq!(book.conclude(first, None, 3).0.outcome, Outcome::Unknown);
        assert_eq!(book.open(), 2);
    }
}
