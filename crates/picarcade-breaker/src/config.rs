//! The configuration of a breaker: thresholds, times and options.
//!
//! All fields are public, have defaults, and have a setter of the same name. Both `Config {
//! failure_threshold: 3, ..Config::default() }` and `Config::default().failure_threshold(3)` work.
//! [`CircuitBreaker::new`](crate::CircuitBreaker::new) checks all fields and names the wrong one.

use std::time::Duration;

use crate::Clock;

/// The configuration of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// The breaker opens if any policy requires it: consecutive failures reach their threshold, or the
/// rate of failures does, or the rate of slow calls does.
///
/// With the feature `serde`, a configuration can be read from a file. All fields are optional,
/// unknown ones are errors, and durations are texts:
///
#[cfg_attr(feature = "serde", doc = "```")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// use std::time::Duration;
/// use picarcade_breaker::{CircuitBreaker, Config};
///
/// let json = r#"{
///     "failure_threshold": 3,
///     "open_for": "1m 30s",
///     "failure_rate": 0.5,
///     "window": {"time": "2m"},
///     "slow_calls": {"longer_than": "800ms", "rate": 0.8}
/// }"#;
/// let config: Config = serde_json::from_str(json)?;
/// assert_eq!(config.open_for, Duration::from_secs(90));
/// let breaker = CircuitBreaker::new("search", config)?; // checks the values
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Config {
    /// The number of failures in a row that opens the breaker. Default 5, at least 1.
    /// [`Config::NEVER`] switches this policy off.
    pub failure_threshold: u32,
    /// The duration of the first opening. Default 60 s; from 1 ms to 24 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub open_for: Duration,
    /// The number of successful probes that closes the breaker. Default 3, at least 1.
    pub success_threshold: u32,
    /// The maximum number of concurrent probes while half-open. Default 1; from 1 to 1,024.
    pub probes: u32,
    /// The time after which a probe without an outcome loses its slot to the next call. Default 30
    /// s; from 1 ms to 24 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub probe_deadline: Duration,
    /// The range of calls over which the two rates are measured. Default: the last 60 s.
    pub window: WindowSize,
    /// The number of calls in the window below which no rate is judged. Default 10, at least 1.
    pub minimum_calls: u32,
    /// The share of failed calls in the window that opens the breaker. In (0, 1]. Default: off.
    pub failure_rate: Option<f64>,
    /// The policy for slow calls in the window. Default: off. A slow probe counts as a failed one.
    pub slow_calls: Option<SlowCalls>,
    /// The time after which a call that is dropped unfinished counts as a failure of kind timeout
    /// instead of neutral. Default: off; from 1 ms to 24 h.
    ///
    /// Use it for time-outs other than [`Deadline`](crate::Deadline) that end the call from outside
    /// of the breaker, such as `tower::timeout`, with at most their time. The breaker itself ends
    /// no call.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub hung_after: Option<Duration>,
    /// The growth of the open time while probes keep failing.
    pub backoff: Backoff,
    /// The maximum time that a server's `Retry-After` may keep the breaker open. Default 1 h; up to
    /// 24 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub retry_after_max: Duration,
    /// Gradual re-admission of calls after closing. Default: all at once.
    pub ramp: Option<Ramp>,
    /// The clock. Default: the clock of tokio.
    pub clock: Clock,
    /// The number of events that a slow subscriber may lag before it misses the oldest. Default 64;
    /// from 1 to 65,536.
    pub event_capacity: usize,
}

/// The range of calls over which failure and slow-call rates are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WindowSize {
    /// The last calls up to this number, exactly. From 1 to 1,000,000. Calls on several cores share
    /// one lock.
    Calls(u32),
    /// The calls of the last period. From 16 ms to 24 h. The window slides in sixteen steps, so it
    /// covers between 15/16 of the period and all of it. Calls on several cores count in separate
    /// lanes.
    Time(#[cfg_attr(feature = "serde", serde(with = "humantime_serde"))] Duration),
}

/// The slow-call policy.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SlowCalls {
    /// The duration from which a call is slow. Not zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub longer_than: Duration,
    /// The share of slow calls in the window that opens the breaker. In (0, 1].
    pub rate: f64,
}

/// The growth of the open time: `open_for * factor^n` for the n-th consecutive opening by a failed
/// probe, plus jitter.
///
/// The first opening lasts exactly `open_for`, as configured. Later openings get jitter, so that
/// the instances of a fleet do not probe at the same moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Backoff {
    /// The growth per failed probe. Default 2, from 1 (no growth) to 10.
    pub factor: f64,
    /// The maximum open time before jitter. Default 10 min; up to 24 h. Never shorter than
    /// `open_for` in effect.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max: Duration,
    /// The maximum random share that is added to the open time. Default 0.1, from 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { factor: 2.0, max: Duration::from_secs(600), jitter: 0.1 }
    }
}

/// Gradual re-admission: the admitted share of the calls grows linearly from `from` to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Ramp {
    /// The duration of the growth. From 1 ms to 24 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub over: Duration,
    /// The share that is admitted right after closing. In (0, 1).
    pub from: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            open_for: Duration::from_secs(60),
            success_threshold: 3,
            probes: 1,
            probe_deadline: Duration::from_secs(30),
            window: WindowSize::Time(Duration::from_secs(60)),
            minimum_calls: 10,
            failure_rate: None,
            slow_calls: None,
            hung_after: None,
            backoff: Backoff::default(),
            retry_after_max: Duration::from_secs(3600),
            ramp: None,
            clock: Clock::Tokio,
            event_capacity: 64,
        }
    }
}

/// Defines a setter for each field.
macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {
        $(#[doc = concat!("Sets [`Config::", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        })*
    };
}

impl Config {
    /// A [`failure_threshold`](Self::failure_threshold) that no run of failures reaches.
    pub const NEVER: u32 = u32::MAX;

    /// Returns the configuration of a known provider, or the default for every other name.
    ///
    /// | name | failures in a row | open for | successes to close |
    /// | --- | --- | --- | --- |
    /// | `openai` | 3 | 30 s | 2 |
    /// | `replicate` | 5 | 45 s | 2 |
    /// | `anthropic`, `runway`, any other | 5 | 60 s | 3 |
    #[must_use]
    pub fn preset(name: &str) -> Self {
        let (failures, seconds, successes) = match name {
            "openai" => (3, 30, 2),
            "replicate" => (5, 45, 2),
            _ => (5, 60, 3),
        };
        Self::default()
            .failure_threshold(failures)
            .open_for(Duration::from_secs(seconds))
            .success_threshold(successes)
    }

    setters! {
        failure_threshold: u32,
        open_for: Duration,
        success_threshold: u32,
        probes: u32,
        probe_deadline: Duration,
        window: WindowSize,
        minimum_calls: u32,
        failure_rate: f64,
        slow_calls: SlowCalls,
        hung_after: Duration,
        backoff: Backoff,
        retry_after_max: Duration,
        ramp: Ramp,
        clock: Clock,
        event_capacity: usize,
    }
}
