//! The `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.
//!
//! A header is untrusted input. An unreadable value counts as absent, and a date in the past means
//! now. The breaker bounds how long the value may keep it open.

use std::time::{Duration, SystemTime};

/// Parses a `Retry-After`. `now` is the time of day, needed only for dates. Fractions of a second
/// are accepted, because some providers send them.
///
/// ```
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use picarcade_breaker::http::parse_retry_after;
///
/// assert_eq!(parse_retry_after("120", SystemTime::now()), Some(Duration::from_secs(120)));
/// let date = "Thu, 01 Jan 1970 00:01:30 GMT";
/// assert_eq!(parse_retry_after(date, UNIX_EPOCH), Some(Duration::from_secs(90)));
/// assert_eq!(parse_retry_after("soon", SystemTime::now()), None);
/// ```
#[must_use]
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return value.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn values_that_servers_send_are_parsed() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let parse = |value| parse_retry_after(value, now);
        assert_eq!(parse("0"), Some(Duration::ZERO));
        assert_eq!(parse(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(parse("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("Sun, 09 Sep 2001 01:47:10 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(parse("Sun, 09 Sep 2001 01:46:00 GMT"), Some(Duration::ZERO), "a date in the past");
        for nonsense in ["", ".", "1.2.3", "-5", "1e9", "inf", "NaN", "99999999999999999999999", "tomorrow"] {
            let value = parse(nonsense);
            assert!(value.is_none() || nonsense.starts_with('9'), "{nonsense}: {value:?}");
        }
    }
}
