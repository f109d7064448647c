//! What one subject has used, in all limits of its scope.

use crate::counter::Counter;
use crate::limit::Rule;

/// The counters of one subject, in the order of its scope's rules.
#[derive(Debug)]
pub(super) struct Cell {
    /// Tells a cell from an earlier one of the same subject that was evicted: a refund must not reach its successor.
    pub(super) born: u64,
    /// Whether it has learned what was spent before; nobody asks without a ledger.
    pub(super) seeded: bool,
    counters: Box<[Counter]>,
}

impl Cell {
    pub(super) fn new(rules: &[Rule], born: u64) -> Self {
        Self { born, seeded: false, counters: rules.iter().map(|rule| Counter::new(rule.shape)).collect() }
    }

    /// Each rule with its counter.
    pub(super) fn each<'a>(
        &'a mut self,
        rules: &'a [Rule],
    ) -> impl Iterator<Item = (&'a Rule, &'a mut Counter)> {
        rules.iter().zip(self.counters.iter_mut())
    }

    /// Whether forgetting it would change no decision.
    pub(super) fn is_idle(&mut self, rules: &[Rule], now: u64) -> bool {
        self.each(rules).all(|(rule, counter)| counter.is_idle(rule.shape, now))
    }
}
