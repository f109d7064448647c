//! The cache from outside.
//!
//! Everything that waits runs in paused time; what needs a real server is behind the features `redis` and
//! `fred`, and runs with either.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod conformance;
mod errors;
mod invalidation;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod single_flight;
mod staleness;
mod support;
mod two_levels;
mod values;

#[cfg(any(feature = "redis", feature = "fred"))]
mod real_fleet;
#[cfg(any(feature = "redis", feature = "fred"))]
mod real_redis;
