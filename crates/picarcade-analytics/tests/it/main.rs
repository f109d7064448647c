//! Integration tests: every store against one list of promises, and the recorder through faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]
#![allow(
    clippy::cast_possible_wrap,
    clippy::similar_names,
    reason = "small numbers, distinguished by their use"
)]

#[cfg(feature = "serde")]
mod config;
mod conformance;
mod counters;
mod events;
mod flaky;
#[cfg(feature = "postgres")]
mod locks;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod process;
mod recorder;
#[cfg(feature = "postgres")]
mod schema;
mod spool;
#[cfg(feature = "sqlite")]
mod sqlite;

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_promises() {
    conformance::all(&conformance::Memory).await;
}
