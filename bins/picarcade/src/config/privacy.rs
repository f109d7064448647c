//! The settings for what is stored of a prompt.

use picarcade_analytics::{HashKey, Privacy, PrivacyError};

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Setting, plain, secret};
use super::values::required;

pub(super) fn settings() -> Vec<Setting> {
    vec![plain("PICARCADE_PROMPT_PRIVACY").or("full"), secret("PICARCADE_PROMPT_HASH_KEY")]
}

/// Parses what is stored of a prompt. The key of hashes is a separate setting, because it is a
/// secret.
pub(super) fn prompt_privacy(layers: &Layers) -> Result<Privacy, ConfigError> {
    let key = layers.parsed("prompt_hash_key", |secret| match secret.chars().count() {
        16.. => Ok(HashKey::derive(secret)),
        _ => Err("must have at least 16 characters".to_owned()),
    })?;
    required(layers, "prompt_privacy", |word| {
        Privacy::parse(word, key).map_err(|error| match error {
            PrivacyError::NoKey => "hashed needs a key: set PICARCADE_PROMPT_HASH_KEY".to_owned(),
            other => other.to_string(),
        })
    })
}
