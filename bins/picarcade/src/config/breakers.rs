//! The settings of the circuit breakers: for all of them, and for single ones.

use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::settings::BREAKER_NAMES;
use super::values::{open_time, threshold};

/// The settings of one breaker.
#[derive(Debug, Default)]
pub(crate) struct BreakerSettings {
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) success_threshold: Option<u32>,
}

pub(super) fn breakers(layers: &Layers) -> Result<Vec<(&'static str, BreakerSettings)>, ConfigError> {
    let all = BreakerSettings {
        failure_threshold: layers.parsed("circuit_breaker_failure_threshold", threshold)?,
        timeout: layers.parsed("circuit_breaker_timeout", open_time)?,
        success_threshold: layers.parsed("circuit_breaker_success_threshold", threshold)?,
    };
    let mut breakers = Vec::new();
    for name in BREAKER_NAMES {
        let key = |field: &str| format!("breakers.{name}.{field}");
        let own = BreakerSettings {
            failure_threshold: layers.parsed(&key("failure_threshold"), threshold)?,
            timeout: layers.parsed(&key("timeout"), open_time)?,
            success_threshold: layers.parsed(&key("success_threshold"), threshold)?,
        };
        breakers.push((
            name,
            BreakerSettings {
                failure_threshold: own.failure_threshold.or(all.failure_threshold),
                timeout: own.timeout.or(all.timeout),
                success_threshold: own.success_threshold.or(all.success_threshold),
            },
        ));
    }
    Ok(breakers)
}
