//! Wiring: the only place that connects to a backend. The other modules use traits.
//!
//! The service starts without a part that it can do without, such as a Redis or a PostgreSQL that
//! does not answer: it logs a warning and works in a degraded mode. A fault that it cannot start
//! with, such as a directory without write permission or a wrong rules file, is one clear line.

mod assemble;
mod error;

mod database;
mod encoder;
mod examples;
mod fleet;
mod redis;
mod rules;
mod sessions;

pub(crate) use assemble::{Purpose, describe_metrics, wire};
pub(crate) use database::{feedback_rows, migrate};
pub(crate) use encoder::version as encoder_version;
pub(crate) use error::WiringError;
pub(crate) use examples::{Loaded, load, read_examples, rules_with_examples, teach};
pub(crate) use rules::{catalogue, rules, rules_with_encoder};
