//! Parsers of values. Each error says what the parser expects.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeBounds;
use std::str::FromStr;
use std::time::Duration;

use hyper::header::HeaderValue;
use ipnet::IpNet;
use secrecy::SecretString;

use super::error::ConfigError;
use super::layers::Layers;

/// Parses a setting that always has a value.
pub(super) fn required<T>(
    layers: &Layers,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    layers.parsed(key, parse)?.ok_or_else(|| layers.wrong(key, "must be set"))
}

/// Parses one of the words of a type, whose error lists them.
pub(super) fn word<T: FromStr<Err: Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|error: T::Err| error.to_string())
}

/// Parses the key of a provider, which is sent in a header field.
pub(super) fn provider_key(value: &str) -> Result<SecretString, String> {
    if value.contains(char::is_whitespace) {
        return Err("must be the key alone, without white space".to_owned());
    }
    secret(value)
}

#[expect(clippy::unnecessary_wraps, reason = "every parser of a setting has this type")]
pub(super) fn secret(value: &str) -> Result<SecretString, String> {
    Ok(value.into())
}

pub(super) fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("must not be empty".to_owned()) } else { Ok(value.to_owned()) }
}

/// Parses an address to listen on: a host and a port.
pub(super) fn address(value: &str) -> Result<String, String> {
    match value.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok() => {
            Ok(value.to_owned())
        }
        _ => Err(format!("{value:?} is not a host and a port, such as 127.0.0.1:8080")),
    }
}

/// Returns the items of a comma list.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Parses a comma list of origins (RFC 6454): scheme, host and port, and nothing more.
pub(super) fn origins(value: &str) -> Result<Vec<HeaderValue>, String> {
    let origin = |item: &str| match url::Url::parse(item) {
        Ok(url) if url.has_host() && url.origin().ascii_serialization() == item => {
            HeaderValue::from_str(item).ok()
        }
        _ => None,
    };
    items(value)
        .map(origin)
        .collect::<Option<_>>()
        .ok_or_else(|| "must be a comma list of origins like https://app.example".to_owned())
}

/// Parses a comma list of address ranges, or of single addresses.
pub(super) fn ranges(value: &str) -> Result<Vec<IpNet>, String> {
    let range = |item: &str| {
        let range = item.parse().or_else(|_| item.parse().map(|address: IpAddr| address.into()));
        range.map_err(|_| format!("{item:?} is not an address range, such as 10.0.0.0/8 or 2001:db8::/32"))
    };
    items(value).map(range).collect()
}

pub(crate) fn http_url(value: &str) -> Result<String, String> {
    match url::Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(value.to_owned()),
        _ => Err("must be an http or https URL".to_owned()),
    }
}

pub(super) fn flag(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Parses a number of requests that the limiter can count.
pub(super) fn count(value: &str) -> Result<u64, String> {
    whole(value, 0..=1 << 53, "from 0 to 2^53")
}

/// Parses the limit of a file in bytes, or 0 for no file.
pub(super) fn disk_bytes(value: &str) -> Result<u64, String> {
    let expected = "from 16777216 (16 MiB) to 2^40, or 0 for no file";
    if value == "0" { Ok(0) } else { whole(value, 16 << 20..=1 << 40, expected) }
}

pub(super) fn at_least_one(value: &str) -> Result<usize, String> {
    whole(value, 1.., "of 1 or more")
}

/// Parses the number of concurrent calls, within the range of the bulkhead.
pub(super) fn concurrency(value: &str) -> Result<usize, String> {
    whole(value, 1..=1_000_000, "from 1 to 1000000")
}

/// Parses the number of consecutive calls that change a breaker.
pub(super) fn threshold(value: &str) -> Result<u32, String> {
    whole(value, 1..=1_000_000, "from 1 to 1000000")
}

/// Parses a whole number in a range, which `expected` describes.
pub(super) fn whole<T: FromStr + PartialOrd>(
    value: &str,
    range: impl RangeBounds<T>,
    expected: &str,
) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number {expected}"))
}

/// Parses how long a breaker stays open, in seconds and within the bounds of the breaker.
pub(super) fn open_time(value: &str) -> Result<Duration, String> {
    seconds_up_to(value, Duration::from_hours(24), "a day")
}

/// Parses a duration in seconds, from a millisecond to `longest`, which is also called `name`.
pub(super) fn seconds_up_to(value: &str, longest: Duration, name: &str) -> Result<Duration, String> {
    match seconds(value) {
        Ok(time) if (Duration::from_millis(1)..=longest).contains(&time) => Ok(time),
        _ => Err(format!("must be a number of seconds from 0.001 to {}, which is {name}", longest.as_secs())),
    }
}

/// Parses a duration in seconds, with fractions: more than zero and at most a year.
pub(super) fn seconds(value: &str) -> Result<Duration, String> {
    value
        .parse()
        .ok()
        .filter(|seconds: &f64| *seconds > 0.0 && *seconds <= 31_536_000.0)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "must be a number of seconds above 0 and at most a year".to_owned())
}

/// Parses a duration in seconds like [`seconds`], and accepts 0.
pub(super) fn seconds_or_none(value: &str) -> Result<Duration, String> {
    if value.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { seconds(value) }
}
