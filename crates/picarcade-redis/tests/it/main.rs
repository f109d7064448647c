//! The handle against real servers, through faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod conformance;
mod failover;
mod faults;
#[cfg(all(feature = "redis", feature = "fred"))]
mod given;
mod support;
mod together;
