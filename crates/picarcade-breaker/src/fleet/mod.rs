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
//! A view that fails or hangs counts as absent: every breaker decides alone, and the member keeps
//! trying. A dead instance is forgotten when its ballot and its lease expire.

mod config;
mod view;

mod member;
mod strategy;

mod memory;

#[cfg(feature = "redis")]
mod connection;
mod redis;

pub use self::{
    config::FleetConfig,
    member::FleetMember,
    memory::MemoryFleetView,
    redis::{FleetScript, RedisFleetView, RunScript},
    view::{Ballot, FleetError, FleetView, VoteCount},
};
