//! One limit: a number of requests or micro-dollars, of one scope, over one window.

use std::fmt;

use serde::Serialize;

use super::name::Name;
use super::scope::Scope;
use super::window::{Shape, Window};
use crate::ConfigError;
use crate::dollars::MAX_AMOUNT;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Requests, by number.
    Requests,
    /// Cost, in micro-dollars.
    Cost,
}

impl Unit {
    /// Returns `requests` or `cost`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Cost => "cost",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One limit. Its name is built from its parts (`user-requests-60s`, `global-cost-utc-day`) unless
/// one is given.
///
/// ```
/// use std::time::Duration;
/// use picarcade_ratelimit::{Limit, Scope, Window};
/// let limit = Limit::cost(Scope::User, 50_000_000, Window::Sliding(Duration::from_secs(3600)));
/// assert_eq!(limit.name(), "user-cost-3600s");
/// assert_eq!("user $50/1h".parse(), Ok(limit));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limit {
    name: String,
    scope: Scope,
    unit: Unit,
    amount: u64,
    window: Window,
}

impl Limit {
    /// Creates a limit of `limit` requests, 1 to 2^53, over `window`.
    #[must_use]
    pub fn requests(scope: Scope, limit: u64, window: Window) -> Self {
        Self::new(scope, Unit::Requests, limit, window)
    }

    /// Creates a limit of `limit_micros` micro-dollars, 1 to 2^53, over `window`.
    #[must_use]
    pub fn cost(scope: Scope, limit_micros: u64, window: Window) -> Self {
        Self::new(scope, Unit::Cost, limit_micros, window)
    }

    fn new(scope: Scope, unit: Unit, limit: u64, window: Window) -> Self {
        let name = format!("{}-{unit}-{}", scope.word(), window.label());
        Self { name, scope, unit, amount: limit, window }
    }

    /// Returns the name that a limit without a given one has.
    pub(super) fn built_name(&self) -> String {
        Self::new(self.scope, self.unit, self.amount, self.window).name
    }

    /// Replaces the name: at most 39 ASCII letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Returns the name, which appears in headers, reports and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whose requests or dollars are counted.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns what is counted.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns the amount of the limit, in its unit.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.amount
    }

    /// Returns the time over which is counted.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Returns the form in which the limit is counted, if it is valid.
    pub(super) fn rule(&self) -> Result<Rule, ConfigError> {
        let wrong = |field, reason| ConfigError::Limit { limit: self.name.clone(), field, reason };
        let name = Name::new(&self.name)
            .ok_or_else(|| wrong("name", "is not 1 to 39 ASCII letters, digits, '-', '_' and '.'"))?;
        if self.amount == 0 {
            return Err(wrong("limit", "is zero: leave the limit out instead"));
        }
        if self.amount > MAX_AMOUNT {
            return Err(wrong("limit", "is more than 2^53"));
        }
        if let Some(problem) = self.window.problem() {
            return Err(wrong("window", problem));
        }
        match self.window {
            Window::Sliding(_) | Window::UtcDay => {}
            Window::Smooth { .. } if self.unit == Unit::Cost => {
                return Err(wrong("window", "is smooth, which is for requests only"));
            }
            Window::Smooth { burst, .. } if burst == 0 || burst >= self.amount => {
                return Err(wrong("burst", "is not from 1 to below the limit"));
            }
            Window::Smooth { period, burst } => {
                if period.as_micros().saturating_mul(u128::from(burst)) > u128::from(MAX_AMOUNT) {
                    return Err(wrong("burst", "times the period in microseconds is more than 2^53"));
                }
            }
        }
        let shape = self.window.shape(self.amount);
        Ok(Rule { name, scope: self.scope, unit: self.unit, limit: self.amount, window: self.window, shape })
    }
}

/// A limit that was validated, with the shape of its counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: Name,
    pub(crate) scope: Scope,
    pub(crate) unit: Unit,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    pub(crate) shape: Shape,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Window = Window::Sliding(Duration::from_secs(60));

    #[test]
    fn an_invalid_limit_is_rejected_by_name() {
        let smooth = |burst| Window::Smooth { period: Duration::from_secs(60), burst };
        for (limit, message) in [
            (
                Limit::requests(Scope::User, 0, MINUTE),
                "limit user-requests-60s: limit is zero: leave the limit out instead",
            ),
            (
                Limit::cost(Scope::Global, MAX_AMOUNT + 1, MINUTE),
                "limit global-cost-60s: limit is more than 2^53",
            ),
            (
                Limit::requests(Scope::User, 1, Window::Sliding(Duration::ZERO)),
                "limit user-requests-0s: window is zero",
            ),
            (
                Limit::cost(Scope::User, 9, smooth(1)),
                "limit user-cost-60s-smooth: window is smooth, which is for requests only",
            ),
            (
                Limit::requests(Scope::User, 9, smooth(9)),
                "limit user-requests-60s-smooth: burst is not from 1 to below the limit",
            ),
        ] {
            assert_eq!(limit.rule().unwrap_err().to_string(), message);
        }
        assert!(Limit::requests(Scope::User, 9, MINUTE).named("a b").rule().is_err());
    }
}
