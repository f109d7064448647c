//! Breakers of several instances that help each other (feature `fleet`).
//!
//! Each instance meets an outage on its own, and each spends its own failures to find out. With a [`FleetView`] they
//! tell each other: when enough instances have opened, the others open early; and one elected instance tests the recovery,
//! instead of all of them at once.
//!
//! The breakers stay local and authoritative. A [`FleetMember`] runs beside a breaker, in a task of its own, and steers it
//! now and then; no call ever waits for it, and no call leads to a request over the network. What the fleet can do to a
//! breaker is bounded:
//!
//! - it can open a closed one, once per outage; what the breaker finds out by its own probes after that is not overruled;
//! - it can let an open one probe early; whether it closes is decided by its own probes;
//! - it can keep an open one from probing while another probes, for [`FleetConfig::hold_max`] at most.
//!
//! **Failure behaviour.** A view that fails, or hangs, is as good as absent: nothing is steered, every breaker is right by
//! itself, and the member keeps trying. An instance that dies is forgotten when its ballot and its lease expire.

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

/// What an instance says about one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ballot {
    /// Closed: the service does its work for me.
    Closed,
    /// Open by my own evidence.
    Open,
    /// Closed again, a moment ago, by my own probes.
    Recovered,
    /// I have no evidence of my own: opened by others, or set by hand.
    Abstain,
}

impl Ballot {
    /// A stable name, for stores.
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

/// The ballots of one breaker that have not expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub instances: u64,
    /// How many say [`Ballot::Open`].
    pub open: u64,
    /// How many say [`Ballot::Recovered`].
    pub recovered: u64,
}

/// The store of ballots and leases did not answer, or not sensibly.
#[derive(Debug, thiserror::Error)]
#[error("the fleet view failed")]
pub struct FleetError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What instances know of each other.
///
/// # Contract
/// Every method is atomic with regard to the others, for one breaker. Time is the store's, so instances need no common
/// clock. Names are short and few; an instance's name is its own. What expires is forgotten without anybody's help. All
/// of this is checked by [`conformance::check`].
#[async_trait]
pub trait FleetView: Debug + Send + Sync {
    /// Casts (or replaces) the ballot of `instance`, which expires after `ttl`, and returns the tally with it.
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<Tally, FleetError>;

    /// Says whether `instance` is the one that probes. It becomes it for `lease` when nobody is; a lease is not prolonged
    /// by asking again.
    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError>;

    /// Gives the lease up, if `instance` holds it, and takes its ballot back.
    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError>;
}
