//! Tests of the flow with a real database, a real AI protocol and injected faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod bills;
mod embedded;
mod failures;
mod feedback;
mod fixture;
mod limits;
#[cfg(feature = "metrics")]
mod metrics;
mod outcomes;
mod provider;
mod savings;
mod sessions;
mod shared_cache;
