//! The public behavior of the crate, under paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod allocation;
mod bulkhead;
mod calls;
mod deadline;
mod errors;
mod events;
#[cfg(feature = "fleet")]
mod fleet;
#[cfg(feature = "fleet")]
mod fleet_contract;
#[cfg(feature = "redis")]
mod fleet_redis;
mod generations;
mod half_open;
mod hangs;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod open_time;
mod overrides;
mod policies;
mod registry;
mod retry;
mod support;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tracing")]
mod tracing;
