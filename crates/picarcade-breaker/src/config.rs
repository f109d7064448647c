//! What a breaker is told: its thresholds, times and options.
//!
//! Plain fields with sound defaults, and a setter of the same name for each, so that both
//! `Config { failure_threshold: 3, ..Config::default() }` and `Config::default().failure_threshold(3)` read well. Nothing
//! is checked here: [`CircuitBreaker::new`](crate::CircuitBreaker::new) checks everything at once and names the field at
//! fault.

use std::time::Duration;

use crate::Clock;

/// The configuration of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// The policies are combined by *any*: the breaker opens when consecutive failures reach their threshold, or the rate
/// of failures does, or the rate of slow calls does.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Open after this many failures in a row. Default 5, at least 1. [`Config::NEVER`] switches this policy off.
    pub failure_threshold: u32,
    /// How long the first opening lasts. Default 60 s; from 1 ms to 24 h.
    pub open_for: Duration,
    /// Close after this many successful probes. Default 3, at least 1.
    pub success_threshold: u32,
    /// How many probes may be under way at once while half-open. Default 1; from 1 to 1,024.
    pub probes: u32,
    /// After this time a probe that has not reported loses its slot to the next caller. Default 30 s; from 1 ms to 24 h.
    pub probe_deadline: Duration,
    /// What the two rates are measured over. Default: the last 60 s.
    pub window: Window,
    /// No rate is judged before the window holds this many calls. Default 10, at least 1.
    pub minimum_calls: u32,
    /// Open when this part of the calls in the window failed. In (0, 1]. Default: off.
    pub failure_rate: Option<f64>,
    /// Open when too many calls in the window were slow. Default: off. A slow probe counts as a failed one.
    pub slow_calls: Option<SlowCalls>,
    /// A call that is dropped unfinished after at least this time counts as a failure of kind
    /// timeout, not as neutral. Default: off; from 1 ms to 24 h. For time-outs other than
    /// [`Deadline`](crate::Deadline) that end the call from outside the breaker, such as
    /// `tower::timeout`: set it to at most their time. The breaker itself ends no call.
    pub hung_after: Option<Duration>,
    /// How the open time grows while probes keep failing.
    pub backoff: Backoff,
    /// The most that a server's `Retry-After` may keep the breaker open. Default 1 h; up to 24 h.
    pub retry_after_max: Duration,
    /// Re-admit the traffic step by step after closing. Default: all at once.
    pub ramp: Option<Ramp>,
    /// Where the time is read. Default: tokio's clock.
    pub clock: Clock,
    /// How many events a slow subscriber may be behind before it misses the oldest. Default 64; from 1 to 65,536.
    pub event_capacity: usize,
}

/// What failure and slow-call rates are measured over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// The last so many calls, exactly. From 1 to 1,000,000. Kept under one lock, which calls on several cores share.
    Calls(u32),
    /// The calls of the last so much time. From 16 ms to 24 h. Slides in sixteen steps, so between 15/16 of the time
    /// and all of it is looked at. Kept in lanes, so calls on several cores do not meet.
    Time(Duration),
}

/// The slow-call policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCalls {
    /// A call that took at least this long is slow. Not zero.
    pub longer_than: Duration,
    /// Open when this part of the calls in the window was slow. In (0, 1].
    pub rate: f64,
}

/// How the open time grows: `open_for * factor^n` for the n-th opening in a row by a failed probe, then jitter.
///
/// The first opening lasts exactly `open_for`: that is what an operator configured. Later ones get jitter on top, so
/// that a fleet does not probe in step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The growth per failed probe. Default 2, from 1 (no growth) to 10.
    pub factor: f64,
    /// The longest open time before jitter. Default 10 min; at least as long as `open_for` is used, up to 24 h.
    pub max: Duration,
    /// The part of the open time that is added at random at most. Default 0.1, from 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { factor: 2.0, max: Duration::from_mins(10), jitter: 0.1 }
    }
}

/// Gradual re-admission: the admitted part of the calls grows in a line from `from` to all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// How long it takes. From 1 ms to 24 h.
    pub over: Duration,
    /// The part that is admitted right after closing. In (0, 1).
    pub from: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            open_for: Duration::from_mins(1),
            success_threshold: 3,
            probes: 1,
            probe_deadline: Duration::from_secs(30),
            window: Window::Time(Duration::from_mins(1)),
            minimum_calls: 10,
            failure_rate: None,
            slow_calls: None,
            hung_after: None,
            backoff: Backoff::default(),
            retry_after_max: Duration::from_hours(1),
            ramp: None,
            clock: Clock::Tokio,
            event_capacity: 64,
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty),* $(,)?) => {
        $($(#[$doc])* #[must_use] pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        })*
    };
}

impl Config {
    /// A [`failure_threshold`](Self::failure_threshold) that no run of failures reaches.
    pub const NEVER: u32 = u32::MAX;

    /// The configuration for a provider that we know by experience; the default for every other name.
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
        /// Sets [`Config::failure_threshold`](#structfield.failure_threshold).
        failure_threshold: u32,
        /// Sets [`Config::open_for`](#structfield.open_for).
        open_for: Duration,
        /// Sets [`Config::success_threshold`](#structfield.success_threshold).
        success_threshold: u32,
        /// Sets [`Config::probes`](#structfield.probes).
        probes: u32,
        /// Sets [`Config::probe_deadline`](#structfield.probe_deadline).
        probe_deadline: Duration,
        /// Sets [`Config::window`](#structfield.window).
        window: Window,
        /// Sets [`Config::minimum_calls`](#structfield.minimum_calls).
        minimum_calls: u32,
        /// Sets [`Config::failure_rate`](#structfield.failure_rate).
        failure_rate: f64,
        /// Sets [`Config::slow_calls`](#structfield.slow_calls).
        slow_calls: SlowCalls,
        /// Sets [`Config::hung_after`](#structfield.hung_after).
        hung_after: Duration,
        /// Sets [`Config::backoff`](#structfield.backoff).
        backoff: Backoff,
        /// Sets [`Config::retry_after_max`](#structfield.retry_after_max).
        retry_after_max: Duration,
        /// Sets [`Config::ramp`](#structfield.ramp).
        ramp: Ramp,
        /// Sets [`Config::clock`](#structfield.clock).
        clock: Clock,
        /// Sets [`Config::event_capacity`](#structfield.event_capacity).
        event_capacity: usize,
    }
}
