//! The machine-readable reasons of a degraded answer.
//!
//! The set is closed because operators count and alert on these words.

use serde::{Serialize, Serializer};

/// One reason in the `degraded` list of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DegradedReason, rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Degraded {
    /// A dollar limit was reached, so no paid call was made.
    CostLimit,
    /// The provider's circuit breaker rejected the call.
    BreakerOpen,
    /// The AI step exceeded its deadline.
    LlmTimeout,
    /// The provider's answer violates the contract.
    LlmUnusable,
    /// The provider refused or failed.
    LlmError,
    /// Too many AI calls were running for longer than this one could wait.
    ConcurrencyLimit,
    /// The remote cache did not answer; the in-process one continues.
    CacheUnavailable,
    /// Analytics events are spooled to the disk, because the database does not accept them.
    AnalyticsSpooling,
    /// The shared limits did not answer, so this instance decided with its local share.
    LimitsLocal,
    /// The provider of the model is unavailable: a fallback was chosen, or every fallback is
    /// unavailable too.
    ModelUnavailable,
}

impl Degraded {
    /// Every reason, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::CostLimit,
        Self::BreakerOpen,
        Self::LlmTimeout,
        Self::LlmUnusable,
        Self::LlmError,
        Self::ConcurrencyLimit,
        Self::CacheUnavailable,
        Self::AnalyticsSpooling,
        Self::LimitsLocal,
        Self::ModelUnavailable,
    ];

    /// Returns the word in responses and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CostLimit => "cost_limit",
            Self::BreakerOpen => "breaker_open",
            Self::LlmTimeout => "llm_timeout",
            Self::LlmUnusable => "llm_unusable",
            Self::LlmError => "llm_error",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::CacheUnavailable => "cache_unavailable",
            Self::AnalyticsSpooling => "analytics_spooling",
            Self::LimitsLocal => "limits_local",
            Self::ModelUnavailable => "model_unavailable",
        }
    }
}

impl Serialize for Degraded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
