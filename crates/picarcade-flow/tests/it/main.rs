//! The flow against a real database, a real AI protocol and faults made to happen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod bills;
mod embedded;
mod failures;
mod house;
mod limits;
mod outcomes;
mod provider;
mod sessions;
mod shared_cache;
