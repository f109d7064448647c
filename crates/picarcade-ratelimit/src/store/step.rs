//! One attempt of a store to decide.

use crate::{Scope, Verdict};

/// The result of one attempt to decide.
#[derive(Debug)]
pub(super) enum Step<Stamp> {
    Decided(Verdict),
    /// The dollar counters of these scopes must be compared with the cost ledger first.
    Compare {
        scopes: Vec<Scope>,
        /// What the comparison records, if the store needs it.
        stamp: Stamp,
    },
}
