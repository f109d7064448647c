//! The public states of a breaker.

use std::fmt;

use serde::{Serialize, Serializer};

/// What a breaker does with the next call.
///
/// The first three states follow from observations. The other four are set by hand and stay until
/// [`reset`](crate::CircuitBreaker::reset) or another override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = BreakerState, rename_all = "snake_case", description = "What a breaker does with the next call."))]
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
    /// ([`Event::WouldOpen`](crate::Event::WouldOpen)). Use it to try a configuration on real
    /// traffic.
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

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
