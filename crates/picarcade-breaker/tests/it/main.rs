//! The public behavior of the crate, under paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod allocation;
mod bulkhead;
mod calls;
#[cfg(feature = "serde")]
mod config;
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
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod layer_bulkhead;
#[cfg(feature = "tower")]
mod layer_retry;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod open_time;
mod overrides;
mod policies;
mod registry;
#[cfg(feature = "reqwest")]
mod reqwest;
mod retry;
mod support;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tracing")]
mod tracing;
