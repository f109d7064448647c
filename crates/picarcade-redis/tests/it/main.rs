//! Tests of the handle with real servers and injected faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "serde")]
mod config;
mod conformance;
mod failover;
mod faults;
#[cfg(all(feature = "redis", feature = "fred"))]
mod given;
#[cfg(feature = "metrics")]
mod metrics;
mod shared_reads;
mod support;
