//! The time over which a limit counts.
//!
//! A sliding window is divided into 60 sub-buckets. They are aligned to the Unix epoch, so every
//! process divides time at the same points. The oldest sub-bucket, which a true window would cut in
//! two, is counted whole. So **no** true window admits more than the limit, and a request is
//! forgotten at most one sub-bucket late.
//!
//! A UTC day has one bucket of one day. A smooth window is the generic cell rate algorithm (ITU-T
//! I.371) in its leaky-bucket form.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parse::{ParseError, number};

/// Sub-buckets of a sliding window.
const PARTS: u64 = 60;
const DAY_MICROS: u64 = 86_400_000_000;
/// A leap year. Longer windows are the task of a ledger.
const MAX_WINDOW: Duration = Duration::from_secs(31_622_400);

/// The time over which a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Window {
    /// Any period of this length, 1 ms to 366 days.
    Sliding(Duration),
    /// The calendar day in UTC, from midnight to midnight.
    UtcDay,
    /// At most `burst` at once, and the rest of the limit spread evenly over `period`.
    ///
    /// A plain GCRA of rate `limit / period` and burst `limit` admits twice the limit in its first
    /// period. Here `burst` is part of the limit (`limit - burst` flow back per period), so no
    /// period admits more than the limit. Only requests can be smooth: dollars need refunds, and a
    /// leaky level has no bucket to refund into.
    Smooth {
        /// The time in which at most the limit is admitted, 1 ms to 366 days.
        period: Duration,
        /// The number of requests that may arrive at once, from 1 to below the limit.
        burst: u64,
    },
}

impl Window {
    /// Returns the length of the window, the day, or the period.
    #[must_use]
    pub fn length(self) -> Duration {
        match self {
            Self::Sliding(length) | Self::Smooth { period: length, .. } => length,
            Self::UtcDay => Duration::from_micros(DAY_MICROS),
        }
    }

    /// Returns when the window that contains `now` begins, which is midnight for
    /// [`Window::UtcDay`].
    #[must_use]
    pub fn start(self, now: SystemTime) -> SystemTime {
        let epoch = SystemTime::UNIX_EPOCH;
        match self {
            Self::Sliding(length) | Self::Smooth { period: length, .. } => {
                now.checked_sub(length).unwrap_or(epoch)
            }
            Self::UtcDay => {
                let micros = length_micros(now.duration_since(epoch).unwrap_or_default());
                epoch + Duration::from_micros(micros - micros % DAY_MICROS)
            }
        }
    }

    /// Returns the text without the burst.
    pub(crate) fn label(self) -> Label {
        Label(self)
    }

    /// Returns why the length is out of range, if it is.
    pub(crate) fn problem(self) -> Option<&'static str> {
        let length = self.length();
        if length.is_zero() {
            Some("is zero")
        } else if length < Duration::from_millis(1) {
            Some("is shorter than 1 ms")
        } else if length > MAX_WINDOW {
            Some("is longer than 366 days")
        } else {
            None
        }
    }

    /// Returns the shape of the counters of this window, for `limit`.
    pub(crate) fn shape(self, limit: u64) -> Shape {
        let micros = length_micros(self.length());
        match self {
            Self::Sliding(_) => Shape::Buckets(Buckets { width: micros.div_ceil(PARTS), span: PARTS + 1 }),
            Self::UtcDay => Shape::Buckets(Buckets { width: DAY_MICROS, span: 1 }),
            Self::Smooth { burst, .. } => {
                Shape::Leaky(Leaky { unit: micros, rate: limit.saturating_sub(burst).max(1), burst })
            }
        }
    }
}

fn length_micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

/// `60s`, `3600s`, `250ms`, `utc-day`, `60s-smooth(5)` with the burst. The text is exact to the
/// microsecond, like the counters.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smooth { burst, .. } => write!(f, "{}({burst})", self.label()),
            Self::Sliding(_) | Self::UtcDay => fmt::Display::fmt(&self.label(), f),
        }
    }
}

/// A window without its burst. Names of limits contain it, and windows with the same label count
/// the same requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(Window);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.length();
        match self.0 {
            Window::UtcDay => return f.write_str("utc-day"),
            _ if length.subsec_micros() == 0 => write!(f, "{}s", length.as_secs())?,
            _ if length.subsec_micros().is_multiple_of(1000) => write!(f, "{}ms", length.as_millis())?,
            _ => write!(f, "{}us", length.as_micros())?,
        }
        if matches!(self.0, Window::Smooth { .. }) { f.write_str("-smooth") } else { Ok(()) }
    }
}

const NO_WINDOW: &str = "a window must be like 250ms, 60s, 1m, 1h, 7d, utc-day or 1m-smooth(5)";

/// Parses a whole number of `us`, `ms`, `s`, `m`, `h` or `d` (24 hours each), `utc-day`, or a
/// smooth window with its burst. The length must be from 1 ms to 366 days.
///
/// ```
/// use std::time::Duration;
/// use picarcade_ratelimit::Window;
///
/// assert_eq!("1m".parse(), Ok(Window::Sliding(Duration::from_secs(60))));
/// assert_eq!("utc-day".parse(), Ok(Window::UtcDay));
/// let smooth: Window = "1m-smooth(5)".parse()?;
/// assert_eq!(smooth.to_string(), "60s-smooth(5)");
/// # Ok::<(), picarcade_ratelimit::ParseError>(())
/// ```
impl FromStr for Window {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let malformed = || ParseError::new(NO_WINDOW);
        let window = if text == "utc-day" {
            Self::UtcDay
        } else if let Some((period, burst)) = text.split_once("-smooth(") {
            let burst = burst.strip_suffix(')').and_then(number).ok_or_else(malformed)?;
            Self::Smooth { period: duration(period).ok_or_else(malformed)?, burst }
        } else {
            Self::Sliding(duration(text).ok_or_else(malformed)?)
        };
        match window.problem() {
            Some(problem) => Err(ParseError::new(format!("the window {problem}"))),
            None => Ok(window),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let micros_each = match unit {
        "us" => 1,
        "ms" => 1000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => DAY_MICROS,
        _ => return None,
    };
    let count = number(text.strip_suffix(unit)?)?;
    count.checked_mul(micros_each).map(Duration::from_micros)
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The form in which a window is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Buckets(Buckets),
    Leaky(Leaky),
}

/// Buckets of `width` microseconds, of which the newest `span` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Buckets {
    pub(crate) width: u64,
    pub(crate) span: u64,
}

impl Buckets {
    /// Returns the start of the bucket that contains `now`.
    pub(crate) fn start(self, now: u64) -> u64 {
        now - now % self.width
    }

    /// Returns the time at which charges in the bucket that began at `start` no longer count.
    pub(crate) fn end(self, start: u64) -> u64 {
        start.saturating_add(self.width.saturating_mul(self.span))
    }
}

/// A level that each request raises by `unit`, that sinks by `rate` a microsecond, and that has
/// room for `burst` requests. All values are integers, so a script that computes in doubles gets
/// the same result while `unit * burst <= 2^53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Leaky {
    pub(crate) unit: u64,
    pub(crate) rate: u64,
    pub(crate) burst: u64,
}

impl Leaky {
    pub(crate) fn capacity(self) -> u64 {
        self.unit.saturating_mul(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_a_sliding_window_its_length_ago() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let hour = Window::Sliding(Duration::from_secs(3600));
        for (window, now, start) in
            [(Window::UtcDay, 86_400, 86_400), (Window::UtcDay, 172_799, 86_400), (hour, 86_400, 82_800)]
        {
            assert_eq!(window.start(at(now)), at(start), "{window} {now}");
        }
    }

    #[test]
    fn windows_are_displayed_by_their_length() {
        for (window, text) in [
            (Window::Sliding(Duration::from_secs(60)), "60s"),
            (Window::Sliding(Duration::from_millis(250)), "250ms"),
            (Window::Sliding(Duration::from_micros(1500)), "1500us"),
            (Window::UtcDay, "utc-day"),
            (Window::Smooth { period: Duration::from_secs(60), burst: 5 }, "60s-smooth(5)"),
        ] {
            assert_eq!(window.to_string(), text);
            assert_eq!(window.problem(), None);
        }
    }

    #[test]
    fn a_length_out_of_range_is_rejected_with_its_reason() {
        assert_eq!(Window::Sliding(Duration::ZERO).problem(), Some("is zero"));
        assert_eq!(Window::Sliding(Duration::from_micros(999)).problem(), Some("is shorter than 1 ms"));
        assert_eq!(
            Window::Sliding(Duration::from_secs(31_708_800)).problem(),
            Some("is longer than 366 days")
        );
    }

    #[test]
    fn sixty_one_buckets_cover_a_window_of_any_length() {
        let Shape::Buckets(buckets) = Window::Sliding(Duration::from_micros(61_000_007)).shape(1) else {
            panic!()
        };
        assert!(buckets.width * (buckets.span - 1) >= 61_000_007);
        assert_eq!(buckets.start(buckets.width * 3 + 5), buckets.width * 3);
    }
}
