//! The crate from outside: one list of what every store promises, and what each store promises beyond it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "redis")]
mod batch;
#[cfg(feature = "redis")]
mod cluster;
mod conformance;
#[cfg(feature = "redis")]
mod epochs;
mod gate;
mod headers;
mod lease;
mod memory;
mod oracle;
#[cfg(feature = "redis")]
mod redis;
mod remote;
mod setup;
mod sharded;
#[cfg(feature = "tower")]
mod tower;
