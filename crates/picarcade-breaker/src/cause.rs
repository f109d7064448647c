//! Why a breaker changed its state: a bounded set of names that can be labels.

use std::fmt;

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
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
