//! The store that instances share, as a trait.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use super::ballot::{Ballot, VoteCount};

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
