//! Tests of the public interface of the cache.
//!
//! Tests that wait run in paused time. Tests with a real server need the feature `redis` or `fred`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "macros")]
mod cached;
mod conformance;
#[cfg(feature = "disk")]
mod disk;
mod errors;
mod in_memory;
mod invalidation;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod savings;
mod single_flight;
mod staleness;
mod support;
mod two_levels;
mod values;

#[cfg(any(feature = "redis", feature = "fred"))]
mod real_fleet;
#[cfg(any(feature = "redis", feature = "fred"))]
mod real_redis;
