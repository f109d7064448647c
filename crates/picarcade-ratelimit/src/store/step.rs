//! One attempt of a store to decide.

use crate::StoreDecision;

/// The result of one attempt to decide.
#[derive(Debug)]
pub(super) enum Step<Comparison> {
    Decided(StoreDecision),
    /// Dollar counters must be compared with the cost ledger first.
    Compare(Comparison),
}
