//! The binary, started as a process and used from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod api;
mod batch;
mod batch_files;
mod budgets;
mod chaos;
mod command_line;
mod config_check;
mod configuration;
mod connections;
mod crowds;
mod database;
mod disk_cache;
mod document;
mod drain;
mod examples;
mod failing_ai;
mod failing_database;
mod failing_limits;
mod failing_redis;
mod feedback;
mod feedback_export;
mod file_modes;
mod fleet;
mod floods;
mod headers;
mod hostile_bodies;
mod http;
mod identity;
mod limits;
mod logs;
mod metrics;
mod migrate;
mod mistakes;
mod money;
mod operators;
#[cfg(feature = "otel")]
mod otlp;
mod outages;
mod outcomes;
mod own_errors;
mod postgres;
mod private_ca;
mod probes;
mod refused_tokens;
mod reload;
mod savings;
mod schema;
mod service;
mod slow_clients;
mod stop;
mod terminal;
mod tokens;
#[cfg(feature = "otel")]
mod traces;
mod visible_failures;
mod warnings;
mod with_ai;
