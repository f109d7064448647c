//! Wiring: the only place that names a backend. Everything else sees traits.
//!
//! What the service can live without (a Redis or a PostgreSQL that is down at start) is a warning and a degraded mode;
//! what it cannot (a directory that cannot be written, a rules file that is wrong) is one clear line.

mod assemble;
mod error;

mod database;
mod fleet;
mod redis;
mod rules;
mod sessions;

pub(crate) use assemble::{Purpose, wire};
pub(crate) use database::migrate;
pub(crate) use error::WiringError;
pub(crate) use rules::{catalogue, rules};
