//! The store that instances share, as a trait, and the ballots in it.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

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

/// The store of ballots and leases failed or sent a malformed reply.
#[derive(Debug, thiserror::Error)]
#[error("the fleet view failed")]
pub struct FleetError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The shared knowledge of the instances.
///
/// # Contract
///
/// Every method is atomic with respect to the others, for one breaker. Time is the time of the
/// store, so instances need no common clock. Names are short and few; the name of an instance is
/// unique. Entries expire without further calls. `tests/it/fleet_contract.rs` checks the whole
/// contract.
#[async_trait]
pub trait FleetView: Debug + Send + Sync {
    /// Casts or replaces the ballot of `instance`, which expires after `ttl`. Returns the count
    /// including it.
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<VoteCount, FleetError>;

    /// Returns whether `instance` is the elected prober. Without a prober, `instance` is elected
    /// for `lease`. Asking again does not extend a lease.
    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError>;

    /// Releases the lease if `instance` holds it, and removes its ballot.
    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError>;
}
