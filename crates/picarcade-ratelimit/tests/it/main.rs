//! The public interface of the crate: one conformance list for every store, and the tests of each
//! store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "redis")]
mod batch;
#[cfg(feature = "redis")]
mod batch_failures;
#[cfg(feature = "redis")]
mod cluster;
mod conformance;
#[cfg(feature = "redis")]
mod crowd;
#[cfg(feature = "redis")]
mod epochs;
mod gate;
mod headers;
mod lease;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod oracle;
#[cfg(feature = "redis")]
mod processes;
#[cfg(feature = "redis")]
mod redis;
mod remote;
mod setup;
mod sharded;
mod text;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tower")]
mod tower_http;
