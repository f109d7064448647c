//! The settings of the circuit breakers: for all of them, and for single ones.

use picarcade_breaker::Config;
use picarcade_intent::ProviderKind;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Setting, in_file, plain};
use super::values::{open_time, threshold};

/// A service that generates and has a breaker, but no AI that classifies.
const GENERATOR: &str = "runway";

pub(super) fn settings() -> Vec<Setting> {
    vec![
        plain("CIRCUIT_BREAKER_FAILURE_THRESHOLD"),
        plain("CIRCUIT_BREAKER_TIMEOUT"),
        plain("CIRCUIT_BREAKER_SUCCESS_THRESHOLD"),
    ]
}

/// Returns the settings of single breakers, which are tables of the file.
pub(super) fn settings_of_each() -> Vec<Setting> {
    let keys = ["failure_threshold", "success_threshold", "timeout"];
    names().flat_map(|name| keys.map(|key| in_file(format!("breakers.{name}.{key}")))).collect()
}

/// Returns the configuration of each breaker by its name.
pub(super) fn breakers(layers: &Layers) -> Result<Vec<(&'static str, Config)>, ConfigError> {
    names().map(|name| Ok((name, breaker(layers, name)?))).collect()
}

/// Returns the preset of a breaker, overridden by the settings of all breakers and by its own.
fn breaker(layers: &Layers, name: &str) -> Result<Config, ConfigError> {
    let mut config = Config::preset(name);
    for prefix in ["circuit_breaker_", &format!("breakers.{name}.")] {
        let key = |end: &str| format!("{prefix}{end}");
        if let Some(failures) = layers.parsed(&key("failure_threshold"), threshold)? {
            config = config.failure_threshold(failures);
        }
        if let Some(time) = layers.parsed(&key("timeout"), open_time)? {
            config = config.open_for(time);
        }
        if let Some(successes) = layers.parsed(&key("success_threshold"), threshold)? {
            config = config.success_threshold(successes);
        }
    }
    Ok(config)
}

/// Returns the names of the services that have a breaker.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ProviderKind::ALL.into_iter().map(ProviderKind::as_str).chain([GENERATOR])
}
