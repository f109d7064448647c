//! The limits of requests and dollars.

use std::time::Duration;

use picarcade_flow::CostAction;
use picarcade_ratelimit::{Limit, Scope, Unit, Window};

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Setting, plain};
use super::values::{count, items, required, seconds_up_to, whole, word};

/// A hundred million dollars: more than a limit needs, and far below what the limiter can count.
const MAX_DOLLARS: f64 = 1e8;

/// The smallest limit: one micro-dollar, the unit in which the limiter counts.
const LEAST_DOLLARS: f64 = 1e-6;

const NOT_DOLLARS: &str = "must be 0 for no limit, or US dollars from 0.000001 to 100000000";

/// The settings of the limiter.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) all: Vec<Limit>,
    /// The names of the limits that instances lease.
    pub(crate) leased: Vec<String>,
    /// How many instances divide the limits while Redis is unavailable.
    pub(crate) expected_instances: u32,
    pub(crate) reservation_ttl: Duration,
}

pub(super) fn settings() -> Vec<Setting> {
    vec![
        plain("RATE_LIMIT_REQUESTS_PER_MINUTE").or("100"),
        plain("RATE_LIMIT_REQUESTS_PER_HOUR").or("1000"),
        plain("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE"),
        plain("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR").or("10000"),
        plain("RATE_LIMIT_ENDPOINT_REQUESTS_PER_MINUTE"),
        plain("RATE_LIMIT_API_KEY_REQUESTS_PER_MINUTE"),
        plain("COST_LIMIT_PER_HOUR").or("50.0"),
        plain("COST_LIMIT_GLOBAL_PER_DAY").or("500.0"),
        plain("COST_LIMIT_ACTION").or("degrade"),
        plain("PICARCADE_EXPECTED_INSTANCES").or("1"),
        plain("PICARCADE_RESERVATION_TTL").or("900"),
        plain("PICARCADE_LEASED_LIMITS"),
    ]
}

pub(super) fn limits(layers: &Layers) -> Result<Limits, ConfigError> {
    let all = all(layers)?;
    Ok(Limits {
        leased: leased(layers, &all)?,
        expected_instances: required(layers, "expected_instances", |value| whole(value, 1.., "from 1"))?,
        reservation_ttl: required(layers, "reservation_ttl", |value| {
            seconds_up_to(value, Duration::from_hours(720), "30 days")
        })?,
        all,
    })
}

pub(super) fn cost_action(layers: &Layers) -> Result<CostAction, ConfigError> {
    required(layers, "cost_limit_action", word)
}

fn all(layers: &Layers) -> Result<Vec<Limit>, ConfigError> {
    const MINUTE: Window = Window::Sliding(Duration::from_secs(60));
    const HOUR: Window = Window::Sliding(Duration::from_secs(3600));
    let requests = [
        ("rate_limit_requests_per_minute", Scope::User, MINUTE),
        ("rate_limit_requests_per_hour", Scope::User, HOUR),
        ("rate_limit_api_key_requests_per_minute", Scope::ApiKey, MINUTE),
        ("rate_limit_endpoint_requests_per_minute", Scope::Endpoint, MINUTE),
        ("rate_limit_global_requests_per_minute", Scope::Global, MINUTE),
        ("rate_limit_global_requests_per_hour", Scope::Global, HOUR),
    ];
    let dollars = [
        ("cost_limit_per_hour", Scope::User, HOUR),
        ("cost_limit_global_per_day", Scope::Global, Window::UtcDay),
    ];
    let mut limits = Vec::new();
    for (key, scope, window) in requests {
        if let Some(limit) = layers.parsed(key, count)?.filter(|limit| *limit > 0) {
            limits.push(Limit::requests(scope, limit, window));
        }
    }
    for (key, scope, window) in dollars {
        if let Some(limit) = layers.parsed(key, dollars_as_micros)?.filter(|limit| *limit > 0) {
            limits.push(Limit::cost(scope, limit, window));
        }
    }
    Ok(limits)
}

/// Returns the limits that instances lease: each must be the name of a limit of requests.
fn leased(layers: &Layers, limits: &[Limit]) -> Result<Vec<String>, ConfigError> {
    let names = |list: &str| Ok(items(list).map(str::to_owned).collect());
    let leased: Vec<String> = layers.parsed("leased_limits", names)?.unwrap_or_default();
    let requests: Vec<_> =
        limits.iter().filter(|limit| limit.unit() == Unit::Requests).map(Limit::name).collect();
    let Some(unknown) = leased.iter().find(|name| !requests.contains(&&***name)) else {
        if !leased.is_empty() && layers.value("redis_url").is_none() {
            return Err(layers.wrong("leased_limits", "needs REDIS_URL, from which instances lease"));
        }
        return Ok(leased);
    };
    let known = if requests.is_empty() { "none is set".to_owned() } else { requests.join(", ") };
    let reason = format!("must be a comma list of limits of requests ({known}), and {unknown:?} is none");
    Err(layers.wrong("leased_limits", reason))
}

/// Parses a limit in dollars, of which 0 means no limit. An amount between 0 and the smallest limit
/// is an error.
fn dollars_as_micros(value: &str) -> Result<u64, String> {
    let dollars: f64 = value.parse().map_err(|_| NOT_DOLLARS)?;
    // A double has no value for an amount such as 1e-400 and reads it as 0.
    let mantissa = value.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|digit| matches!(digit, '1'..='9'));
    match dollars {
        0.0 if is_zero => Ok(0),
        LEAST_DOLLARS..=MAX_DOLLARS => Ok((dollars * 1e6).round() as u64),
        _ => Err(NOT_DOLLARS.to_owned()),
    }
}
