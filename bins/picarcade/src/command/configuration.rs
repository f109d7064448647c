//! The configuration of a command, with its warnings on standard error.

use std::path::Path;

use crate::config::{Config, ConfigError};

/// Loads the whole configuration.
pub(super) fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    Config::load(file).inspect(|config| warn(&config.layers.warnings))
}

/// Loads the configuration for a command that calls no AI.
pub(super) fn load_without_ai(file: Option<&Path>) -> Result<Config, ConfigError> {
    Config::load_without_ai(file).inspect(|config| warn(&config.layers.warnings))
}

/// Prints warnings, one line each.
#[expect(clippy::print_stderr, reason = "this is the command line's answer")]
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}
