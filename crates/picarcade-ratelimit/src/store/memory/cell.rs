//! The counters of one subject in one scope.

use crate::counter::Counter;
use crate::limit::Rule;

/// The counters of one subject, in the order of the rules of its scope.
#[derive(Debug)]
pub(super) struct Cell {
    /// Distinguishes a cell from an evicted one of the same subject: a refund must not reach its
    /// successor.
    pub(super) born: u64,
    /// Whether the counters were compared with the ledger. Not used without one.
    pub(super) seeded: bool,
    counters: Box<[Counter]>,
}

impl Cell {
    pub(super) fn new(rules: &[Rule], born: u64) -> Self {
        Self { born, seeded: false, counters: rules.iter().map(|rule| Counter::new(rule.shape)).collect() }
    }

    /// Returns each rule with its counter.
    pub(super) fn each<'a>(
        &'a mut self,
        rules: &'a [Rule],
    ) -> impl Iterator<Item = (&'a Rule, &'a mut Counter)> {
        rules.iter().zip(self.counters.iter_mut())
    }

    /// Returns whether the cell can be forgotten without changing a decision.
    pub(super) fn is_idle(&mut self, rules: &[Rule], now: u64) -> bool {
        self.each(rules).all(|(rule, counter)| counter.is_idle(rule.shape, now))
    }
}
