//! Ballots of instances, and their count.

/// What an instance reports about one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ballot {
    /// Closed: the service works for this instance.
    Closed,
    /// Open by its own evidence.
    Open,
    /// Recently closed by its own probes.
    Recovered,
    /// No evidence of its own: opened by others, or set by hand.
    Abstain,
}

impl Ballot {
    /// Returns a stable name for stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Recovered => "recovered",
            Self::Abstain => "abstain",
        }
    }
}

/// The count of the unexpired ballots of one breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoteCount {
    /// The number of ballots.
    pub instances: u64,
    /// The number of [`Ballot::Open`].
    pub open: u64,
    /// The number of [`Ballot::Recovered`].
    pub recovered: u64,
}
