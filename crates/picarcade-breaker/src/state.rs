//! The public states of a breaker, and why they change: bounded sets of names that can be labels.

use std::fmt;

/// What a breaker does with the next call.
///
/// The first three states follow from observations. The other four are set by hand and stay until
/// [`reset`](crate::CircuitBreaker::reset) or another override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(as = BreakerState, description = "What a breaker does with the next call.")
)]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum State {
    /// Calls pass, and their outcomes are judged.
    Closed,
    /// Calls are rejected until the open time is over.
    Open,
    /// A few probes pass, and decide between closed and open.
    HalfOpen,
    /// Set by hand: calls are rejected. No timer ends it.
    ForcedOpen,
    /// Set by hand: calls pass, are counted, and cannot open the breaker.
    ForcedClosed,
    /// Set by hand: calls pass, and nothing is recorded.
    Disabled,
    /// Set by hand: calls pass and are judged, but a verdict is only announced
    /// ([`BreakerEvent::WouldOpen`](crate::BreakerEvent::WouldOpen)). Use it to try a configuration
    /// on real traffic.
    MetricsOnly,
}

impl State {
    /// Every state, in declaration order.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// Returns the name on the wire: `closed`, `open`, `half_open`, `forced_open`, `forced_closed`,
    /// `disabled`, `metrics_only`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cause {
    /// The number of failures in a row.
    ConsecutiveFailures,
    /// The rate of failures in the window.
    FailureRate,
    /// The rate of slow calls in the window.
    SlowCallRate,
    /// The open time is over, and a call came to probe.
    OpenTimeOver,
    /// A probe failed, or was slow.
    ProbeFailed,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// An operator or the application set the state.
    Manual,
    /// A quorum of the other instances opened their breakers.
    FleetQuorum,
    /// The elected instance found that the service has recovered.
    FleetRecovered,
}

impl Cause {
    /// Returns the name on the wire and in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::Manual => "manual",
            Self::FleetQuorum => "fleet_quorum",
            Self::FleetRecovered => "fleet_recovered",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
