//! Limits in responses: the header fields `RateLimit-Policy`, `RateLimit` and `Retry-After`, and
//! one limit in a body.

use std::time::Duration;

use hyper::HeaderMap;
use picarcade_flow::openapi::words;
use picarcade_ratelimit::headers::RATELIMIT;
pub(crate) use picarcade_ratelimit::headers::{write, write_denial};
use picarcade_ratelimit::{LimitStatus, Scope, Unit};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Object;

/// Returns the duration in whole seconds, rounded up, so that a client that waits is not early.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Returns whether a response has the caller's limits.
pub(crate) fn is_written(headers: &HeaderMap) -> bool {
    headers.contains_key(RATELIMIT)
}

/// One limit in a body.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitStatus)]
pub(crate) struct LimitBody {
    #[schema(value_type = f64)]
    limit: Amount,
    name: String,
    #[schema(value_type = f64)]
    remaining: Amount,
    /// The seconds until the whole limit is available again.
    reset: u64,
    /// Whose requests or dollars are counted.
    #[schema(schema_with = scopes)]
    scope: &'static str,
    /// What is counted: requests, or US dollars.
    #[schema(schema_with = units)]
    unit: &'static str,
    #[schema(value_type = f64)]
    used: Amount,
    /// The time over which is counted.
    window: String,
}

/// Requests as a count, money in dollars.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Amount {
    Requests(u64),
    Dollars(f64),
}

impl LimitBody {
    pub(crate) fn new(status: &LimitStatus) -> Self {
        let amount = |value: u64| match status.unit {
            Unit::Requests => Amount::Requests(value),
            Unit::Cost => Amount::Dollars(value as f64 / 1e6),
        };
        Self {
            limit: amount(status.limit),
            name: status.name.to_string(),
            remaining: amount(status.remaining),
            reset: whole_seconds(status.reset_after),
            scope: status.scope.as_str(),
            unit: unit(status.unit),
            used: amount(status.used),
            window: status.window.to_string(),
        }
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::Cost => "usd",
    }
}

fn units() -> Object {
    words([Unit::Requests, Unit::Cost].map(unit))
}

fn scopes() -> Object {
    words(Scope::ALL.map(Scope::as_str))
}
