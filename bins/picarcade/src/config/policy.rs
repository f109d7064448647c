//! The settings of the flow: its caches and its AI step.

use picarcade_flow::{CacheTtls, Policy};

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Setting, plain};
use super::values::{concurrency, required, seconds};
use super::{limits, llm};

pub(super) fn settings() -> Vec<Setting> {
    vec![
        plain("INTENT_CACHE_TTL").or("3600"),
        plain("PROMPT_ENHANCEMENT_CACHE_TTL").or("86400"),
        plain("MODEL_PARAMS_CACHE_TTL").or("3600"),
        plain("STATS_CACHE_TTL").or("300"),
        plain("SESSION_CACHE_TTL").or("600"),
        plain("MAX_CONCURRENT_CLASSIFICATIONS").or("10"),
        plain("CLASSIFICATION_TIMEOUT").or("30"),
    ]
}

pub(super) fn policy(layers: &Layers, has_llm: bool) -> Result<Policy, ConfigError> {
    let mut policy = Policy::default();
    policy.mode = llm::mode(layers, has_llm)?;
    policy.cost_action = limits::cost_action(layers)?;
    policy.ttls = CacheTtls {
        intent: required(layers, "intent_cache_ttl", seconds)?,
        enhancement: required(layers, "prompt_enhancement_cache_ttl", seconds)?,
        parameters: required(layers, "model_params_cache_ttl", seconds)?,
        statistics: required(layers, "stats_cache_ttl", seconds)?,
        sessions: required(layers, "session_cache_ttl", seconds)?,
    };
    policy.max_concurrent_classifications = required(layers, "max_concurrent_classifications", concurrency)?;
    policy.classification_timeout = required(layers, "classification_timeout", seconds)?;
    Ok(policy)
}
