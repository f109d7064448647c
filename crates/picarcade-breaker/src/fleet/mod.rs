//! Breakers of several instances that share their observations (feature `fleet`).
//!
//! Without a fleet, each instance needs its own failures to detect an outage. With a [`FleetView`],
//! instances share their states: if enough instances have opened, the others open early, and one
//! elected instance tests the recovery instead of all at once.
//!
//! The breakers stay local and authoritative. A [`FleetMember`] runs for each breaker in a task of
//! its own and steers it periodically. No call waits for it, and no call causes a network request.
//! The influence of the fleet on a breaker is bounded:
//!
//! - it can open a closed breaker once per outage; later results of the breaker's own probes are
//!   not overruled;
//! - it can let an open breaker probe early; only the breaker's own probes close it;
//! - it can keep an open breaker from probing while another instance probes, for
//!   [`FleetConfig::hold_max`] at most.
//!
//! # Failure behavior
//!
//! A view that fails or hangs counts as absent: nothing is steered, every breaker decides alone,
//! and the member keeps trying. A dead instance is forgotten when its ballot and its lease expire.

mod config;
pub mod conformance;
#[cfg(feature = "redis")]
mod connection;
mod member;
mod memory;
mod mind;
mod redis;
mod scripts;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

pub use self::{
    config::FleetConfig,
    member::FleetMember,
    memory::MemoryFleetView,
    redis::RedisFleetView,
    scripts::{FleetScript, RunScript},
};

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

/// The unexpired ballots of one breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
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
/// unique. Entries expire without further calls. [`conformance::check`] checks the whole contract.
#[async_trait]
pub trait FleetView: Debug + Send + Sync {
    /// Casts or replaces the ballot of `instance`, which expires after `ttl`. Returns the tally
    /// including it.
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<Tally, FleetError>;

    /// Returns whether `instance` is the elected prober. Without a prober, `instance` is elected
    /// for `lease`. Asking again does not extend a lease.
    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError>;

    /// Releases the lease if `instance` holds it, and removes its ballot.
    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError>;
}
