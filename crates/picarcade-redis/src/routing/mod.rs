//! The choice between the endpoints, and the connection of each.

pub(crate) mod connection;
pub(crate) mod endpoint;
pub(crate) mod failover;
pub(crate) mod journal;
#[cfg(any(feature = "redis", feature = "fred"))]
pub(crate) mod reach;
pub(crate) mod router;
