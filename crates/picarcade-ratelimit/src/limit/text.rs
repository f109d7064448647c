//! The text form of a limit, and its form in configuration files.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limit::{Limit, Unit};
use super::parse::{ParseError, number};
use super::scope::Scope;
use super::window::Window;

/// Micro-dollars in a dollar, and the digits after the point that they need.
const MICROS: u64 = 1_000_000;
const DECIMALS: usize = 6;

/// `user 100/60s`, `global $500/utc-day`, and with a given name `night: user 100/60s`. Amounts with
/// `$` are dollars.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name() != self.built_name() {
            write!(f, "{}: ", self.name())?;
        }
        write!(f, "{} ", self.scope().as_str().to_ascii_lowercase())?;
        match self.unit() {
            Unit::Requests => write!(f, "{}", self.limit())?,
            Unit::Cost => {
                write!(f, "${}", self.limit() / MICROS)?;
                let fraction = format!("{:06}", self.limit() % MICROS);
                let digits = fraction.trim_end_matches('0');
                if !digits.is_empty() {
                    write!(f, ".{digits}")?;
                }
            }
        }
        write!(f, "/{}", self.window())
    }
}

/// Parses `SCOPE AMOUNT/WINDOW` with an optional `NAME: ` before it. The amount is a number of
/// requests, or dollars with `$` and at most six decimals. [`Window`] describes the windows.
///
/// ```
/// use picarcade_ratelimit::{Limit, Scope, Unit};
///
/// let limit: Limit = "api_key 1000/1m".parse()?;
/// assert_eq!((limit.scope(), limit.unit(), limit.limit()), (Scope::ApiKey, Unit::Requests, 1000));
/// let budget: Limit = "global $499.99/utc-day".parse()?;
/// assert_eq!((budget.unit(), budget.limit()), (Unit::Cost, 499_990_000));
/// # Ok::<(), picarcade_ratelimit::ParseError>(())
/// ```
impl FromStr for Limit {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let malformed = || ParseError::new("a limit must be like `user 100/1m` or `global $500/utc-day`");
        let (name, rest) = match text.split_once(": ") {
            Some((name, rest)) => (Some(name), rest),
            None => (None, text),
        };
        let (scope, rest) = rest.split_once(' ').ok_or_else(malformed)?;
        let (amount, window) = rest.split_once('/').ok_or_else(malformed)?;
        let (unit, amount) = match amount.strip_prefix('$') {
            Some(dollars) => (Unit::Cost, micros(dollars)),
            None => (Unit::Requests, number(amount)),
        };
        checked(name, scope.parse()?, unit, amount.ok_or_else(malformed)?, window.parse()?)
    }
}

/// Parses dollars with at most six decimals, exactly.
fn micros(dollars: &str) -> Option<u64> {
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, "0"));
    if fraction.is_empty() || fraction.len() > DECIMALS {
        return None;
    }
    let fraction = number(&format!("{fraction:0<DECIMALS$}"))?;
    number(whole)?.checked_mul(MICROS)?.checked_add(fraction)
}

/// Returns the limit if it is valid.
fn checked(
    name: Option<&str>,
    scope: Scope,
    unit: Unit,
    amount: u64,
    window: Window,
) -> Result<Limit, ParseError> {
    let mut limit = match unit {
        Unit::Requests => Limit::requests(scope, amount, window),
        Unit::Cost => Limit::cost(scope, amount, window),
    };
    if let Some(name) = name {
        limit = limit.named(name);
    }
    match limit.rule() {
        Ok(_) => Ok(limit),
        Err(error) => Err(ParseError::new(error.to_string())),
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fields of a limit in a configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<String>,
    scope: Scope,
    requests: Option<u64>,
    cost_micros: Option<u64>,
    window: Window,
}

impl TryFrom<Fields> for Limit {
    type Error = ParseError;

    fn try_from(fields: Fields) -> Result<Self, ParseError> {
        let (unit, amount) = match (fields.requests, fields.cost_micros) {
            (Some(requests), None) => (Unit::Requests, requests),
            (None, Some(micros)) => (Unit::Cost, micros),
            _ => return Err(ParseError::new("a limit must have either requests or cost_micros")),
        };
        checked(fields.name.as_deref(), fields.scope, unit, amount, fields.window)
    }
}

/// Deserializes the text form, or a map with `scope`, `window`, one of `requests` and
/// `cost_micros`, and optionally `name`. Other fields and invalid limits are errors.
///
/// ```
/// use picarcade_ratelimit::Limit;
///
/// let short: Limit = serde_json::from_str(r#""user 100/1m""#)?;
/// let json = r#"{"scope": "user", "requests": 100, "window": "1m"}"#;
/// let long: Limit = serde_json::from_str(json)?;
/// assert_eq!(short, long);
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

struct LimitVisitor;

impl<'de> Visitor<'de> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a limit such as `user 100/1m`, or a map with its scope, amount and window")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Limit, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Limit, A::Error> {
        let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
        Limit::try_from(fields).map_err(A::Error::custom)
    }
}
