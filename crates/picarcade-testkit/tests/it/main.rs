//! Tests of every part of the kit against the real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod http;
mod mock;
mod orphans;
mod postgres;
mod proxy;
mod redis;
mod redis_sets;
mod tls;
