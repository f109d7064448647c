//! The binary, started as a process and used from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod batch;
mod command_line;
mod configuration;
mod connections;
mod document;
mod fleet;
mod http;
mod identity;
mod metrics;
mod operators;
mod outcomes;
mod reload;
mod service;
mod with_ai;
