//! One recorded outcome, and the counts of many.

/// One outcome, as the windows count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// The calls in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

/// The window of a breaker at the moment of reading.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = BreakerWindow))]
#[non_exhaustive]
pub struct WindowStatistics {
    /// Calls with an outcome other than neutral.
    pub calls: u64,
    /// Failed calls.
    pub failures: u64,
    /// Slow calls, failed or not.
    pub slow: u64,
    /// Failed calls per call, 0 to 1. Zero for an empty window.
    pub failure_rate: f64,
    /// Slow calls per call, 0 to 1. Zero for an empty window.
    pub slow_call_rate: f64,
}

impl From<Counts> for WindowStatistics {
    fn from(counts: Counts) -> Self {
        let per_call = |part: u64| if counts.calls == 0 { 0.0 } else { part as f64 / counts.calls as f64 };
        Self {
            calls: counts.calls,
            failures: counts.failures,
            slow: counts.slow,
            failure_rate: per_call(counts.failures),
            slow_call_rate: per_call(counts.slow),
        }
    }
}
