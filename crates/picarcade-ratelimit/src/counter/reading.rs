//! What a counter returns.

/// Why an amount does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The amount fits after this many microseconds, if nothing else is charged.
    For(u64),
    /// The amount is larger than the limit.
    Never,
}

/// The state of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    pub(crate) used: u64,
    pub(crate) reserved: u64,
    pub(crate) remaining: u64,
    /// Microseconds until no earlier charge counts.
    pub(crate) reset: u64,
}
