//! The commands, one file each, and their failure.

mod configuration;
mod failure;
mod in_force;
mod local_caller;
mod output_file;

pub(crate) mod batch;
pub(crate) mod classify;
pub(crate) mod config;
pub(crate) mod evaluate;
pub(crate) mod examples;
pub(crate) mod health;
pub(crate) mod migrate;
mod reload;
pub(crate) mod rules;
pub(crate) mod serve;
mod teaching;

use configuration::{load, load_without_ai};
pub(crate) use failure::Failure;
