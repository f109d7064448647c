//! The cache from outside.
//!
//! Everything that waits runs in paused time; what needs a real server is behind the `redis` feature.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod conformance;
mod invalidation;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod single_flight;
mod staleness;
mod support;
mod two_levels;

#[cfg(feature = "redis")]
mod real_redis;
