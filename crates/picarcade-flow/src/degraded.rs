//! The machine-readable reasons why an answer is less than it could have been.
//!
//! A closed set on purpose: operators count and alarm on these words, so a free string has no place here.

use serde::Serialize;

/// One reason for a degraded answer, as it stands in the `degraded` list of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Degraded {
    /// A dollar limit was reached, so no paid call was made.
    CostLimit,
    /// The provider's circuit breaker rejected the call.
    BreakerOpen,
    /// The AI step ran out of its time.
    LlmTimeout,
    /// The provider answered, but not with anything the contract allows.
    LlmUnusable,
    /// The provider refused or failed.
    LlmError,
    /// Too many AI calls were in flight for longer than this one could wait.
    ConcurrencyLimit,
    /// The remote cache did not answer; the in-process one goes on.
    CacheUnavailable,
    /// Analytics events go to the disk, because the database does not take them.
    AnalyticsSpooling,
    /// The shared limits did not answer, so this instance decided with its local share.
    LimitsLocal,
    /// The provider of the chosen model is unavailable and so is every fallback, or a fallback was chosen.
    ModelUnavailable,
}

impl Degraded {
    /// The word as it stands on the wire.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialized_word_is_the_displayed_one() {
        for word in [
            Degraded::CostLimit,
            Degraded::BreakerOpen,
            Degraded::LlmTimeout,
            Degraded::LlmUnusable,
            Degraded::LlmError,
            Degraded::ConcurrencyLimit,
            Degraded::CacheUnavailable,
            Degraded::AnalyticsSpooling,
            Degraded::LimitsLocal,
            Degraded::ModelUnavailable,
        ] {
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
    }
}
