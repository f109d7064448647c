//! The counters of one subject, and a bounded map from subjects to them that survives a flood of
//! new subjects.
//!
//! The order of eviction is that of S3-FIFO (Yang et al., SOSP 2023) without its ghost queue. A
//! subject enters a small queue, which is a tenth of the whole. It moves to the main queue only if
//! it was seen again or spent dollars. So a flood of subjects that appear once passes through the
//! small queue and evicts only subjects of its own kind. Idle subjects at the head of either queue
//! are dropped first, because forgetting them changes no decision.
//!
//! At the bound, the oldest subject that was seen once is forgotten together with its counts, which
//! are those of a single visit.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::counter::Counter;
use crate::limit::{Group, Rule};

/// The most visits that are counted for a subject. Each spares it one eviction.
const MAX_VISITS: u8 = 3;

/// The counters of one subject, in the order of the rules of its scope.
#[derive(Debug)]
pub(super) struct Cell {
    hash: u64,
    layout_hash: u32,
    visits: u8,
    subject: Box<str>,
    /// Distinguishes a cell from an evicted one of the same subject: a refund must not reach its
    /// successor.
    pub(super) born: u64,
    /// Whether the counters were compared with the ledger. Not used without one.
    pub(super) seeded: bool,
    counters: Box<[Counter]>,
}

impl Cell {
    /// Returns each rule with its counter.
    pub(super) fn each<'a>(
        &'a mut self,
        rules: &'a [Rule],
    ) -> impl Iterator<Item = (&'a Rule, &'a mut Counter)> {
        rules.iter().zip(self.counters.iter_mut())
    }

    /// Keeps a subject that spent dollars like one that was seen often.
    pub(super) fn keep(&mut self) {
        self.visits = MAX_VISITS;
    }

    /// Returns whether the cell can be forgotten without changing a decision.
    fn is_idle(&mut self, rules: &[Rule], now: u64) -> bool {
        self.each(rules).all(|(rule, counter)| counter.is_idle(rule.shape, now))
    }
}

/// A part of a table, under one lock.
#[derive(Debug)]
pub(super) struct Shard {
    index: HashTable<u32>,
    cells: Vec<Option<Cell>>,
    vacant: Vec<u32>,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    capacity: usize,
    evicted: u64,
}

impl Shard {
    /// Creates a shard of at most `capacity` subjects (at least 2).
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            index: HashTable::new(),
            cells: Vec::new(),
            vacant: Vec::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            capacity: capacity.max(2),
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many subjects were evicted while they had counts.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns the cell of `subject` for the rules of that layout, if it has one.
    pub(super) fn find(&mut self, hash: u64, subject: &str, layout_hash: u32) -> Option<&mut Cell> {
        self.place(hash, subject, layout_hash).and_then(|place| self.cell(place))
    }

    fn place(&self, hash: u64, subject: &str, layout_hash: u32) -> Option<u32> {
        let same = |cell: &Cell| {
            // The global scope has the empty subject. Comparing empty strings is measurably slow.
            cell.hash == hash
                && cell.layout_hash == layout_hash
                && cell.subject.len() == subject.len()
                && (subject.is_empty() || &*cell.subject == subject)
        };
        let cell = |place: u32| self.cells.get(place as usize).and_then(Option::as_ref);
        self.index.find(hash, |&place| cell(place).is_some_and(same)).copied()
    }

    /// Returns the cell of `subject`, which is created if it has none.
    pub(super) fn enter(
        &mut self,
        hash: u64,
        subject: &str,
        group: &Group,
        now: u64,
        born: impl FnOnce() -> u64,
    ) -> Option<&mut Cell> {
        if let Some(place) = self.place(hash, subject, group.layout_hash) {
            let cell = self.cell(place)?;
            cell.visits = (cell.visits + 1).min(MAX_VISITS);
            return Some(cell);
        }
        self.drop_idle(group, now);
        while self.index.len() >= self.capacity && self.evict_one() {}
        let cell = Cell {
            hash,
            layout_hash: group.layout_hash,
            visits: 0,
            subject: subject.into(),
            born: born(),
            seeded: false,
            counters: group.rules.iter().map(|rule| Counter::new(rule.shape)).collect(),
        };
        let place = self.vacant.pop().unwrap_or(self.cells.len() as u32);
        match self.cells.get_mut(place as usize) {
            Some(free) => *free = Some(cell),
            None => self.cells.push(Some(cell)),
        }
        let cells = &self.cells;
        let hash_of =
            |&place: &u32| cells.get(place as usize).and_then(Option::as_ref).map_or(0, |cell| cell.hash);
        self.index.insert_unique(hash, place, hash_of);
        self.small.push_back(place);
        self.cell(place)
    }

    fn cell(&mut self, place: u32) -> Option<&mut Cell> {
        self.cells.get_mut(place as usize).and_then(Option::as_mut)
    }

    /// Drops the subject at the head of each queue if it is idle. Each new subject pays for this
    /// check.
    fn drop_idle(&mut self, group: &Group, now: u64) {
        for main in [false, true] {
            let queue = if main { &self.main } else { &self.small };
            let Some(&place) = queue.front() else { continue };
            // A cell of other rules cannot be checked with these.
            let idle =
                |cell: &mut Cell| cell.layout_hash == group.layout_hash && cell.is_idle(&group.rules, now);
            if self.cell(place).is_none_or(idle) {
                let queue = if main { &mut self.main } else { &mut self.small };
                queue.pop_front();
                self.remove(place);
            }
        }
    }

    /// Evicts one subject. Returns false if there is none.
    fn evict_one(&mut self) -> bool {
        loop {
            let is_small = self.small.len() > self.capacity / 10 || self.main.is_empty();
            let queue = if is_small { &mut self.small } else { &mut self.main };
            let Some(place) = queue.pop_front() else { return false };
            match self.cell(place) {
                Some(cell) if cell.visits > 0 => {
                    cell.visits = if is_small { 0 } else { cell.visits - 1 };
                    self.main.push_back(place);
                }
                _ => {
                    self.remove(place);
                    self.evicted += 1;
                    return true;
                }
            }
        }
    }

    fn remove(&mut self, place: u32) {
        let Some(cell) = self.cells.get_mut(place as usize).and_then(Option::take) else { return };
        if let Ok(found) = self.index.find_entry(cell.hash, |&other| other == place) {
            found.remove();
        }
        self.vacant.push(place);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Limit, Plan, Scope, Window};

    fn plan() -> Plan {
        Plan::new(vec![Limit::requests(Scope::User, 9, Window::Sliding(Duration::from_secs(60)))]).unwrap()
    }

    fn visit(shard: &mut Shard, plan: &Plan, subject: u64, now: u64) {
        let group = plan.group(Scope::User);
        let cell = shard.enter(subject, &subject.to_string(), group, now, || 0).unwrap();
        for (rule, counter) in cell.each(&group.rules) {
            counter.advance(rule.shape, now);
            counter.charge(rule.shape, 1, 0);
        }
    }

    #[test]
    fn a_flood_does_not_evict_subjects_that_were_seen_twice() {
        let plan = plan();
        let mut shard = Shard::new(100);
        for subject in (0..80).chain(0..80) {
            visit(&mut shard, &plan, subject, 0);
        }
        for flood in 1000..11_000 {
            visit(&mut shard, &plan, flood, 1);
        }
        assert_eq!(shard.len(), 100);
        assert!(shard.cells.len() <= 100);
        let layout_hash = plan.group(Scope::User).layout_hash;
        for subject in 0..80 {
            assert!(
                shard.find(subject, &subject.to_string(), layout_hash).is_some(),
                "{subject} was evicted"
            );
        }
        assert_eq!(shard.evicted(), 10_000 - 20);
    }

    #[test]
    fn a_flood_that_comes_twice_stays_within_the_bound() {
        let plan = plan();
        let mut shard = Shard::new(50);
        for flood in 0..1000 {
            visit(&mut shard, &plan, flood, 0);
            visit(&mut shard, &plan, flood, 0);
        }
        assert_eq!(shard.len(), 50);
        assert_eq!(shard.small.len() + shard.main.len(), 50);
    }

    #[test]
    fn a_subject_costs_what_the_readme_says() {
        assert!(size_of::<Option<Cell>>() + size_of::<u32>() * 4 <= 150);
        assert!(size_of::<Counter>() <= 88);
        let plan = plan();
        let mut shard = Shard::new(4);
        let group = plan.group(Scope::User);
        for second in 0..1000 {
            visit(&mut shard, &plan, 0, second * 1_000_000);
        }
        let cell = shard.enter(0, "0", group, 0, || 0).unwrap();
        let (_, counter) = cell.each(&group.rules).next().unwrap();
        assert!(counter.allocated() <= 1024, "{}", counter.allocated());
    }

    #[test]
    fn idle_subjects_are_dropped_as_new_ones_arrive() {
        let plan = plan();
        let mut shard = Shard::new(1000);
        for subject in 0..100 {
            visit(&mut shard, &plan, subject, 0);
        }
        for subject in 100..200 {
            visit(&mut shard, &plan, subject, 120_000_000);
        }
        assert_eq!(shard.len(), 100);
        assert_eq!(shard.evicted(), 0);
    }
}
