//! The part of a prompt that is stored.

use picarcade_analytics::{HashKey, Privacy};

use super::error::ConfigError;
use super::layers::Layers;
use super::values::required;

/// Parses the part of a prompt that is stored. The key of hashes is a separate setting, because it
/// is a secret.
pub(super) fn prompt_privacy(layers: &Layers) -> Result<Privacy, ConfigError> {
    let key = layers.parsed("prompt_hash_key", |secret| match secret.chars().count() {
        16.. => Ok(HashKey::derive(secret)),
        _ => Err("must have at least 16 characters".to_owned()),
    })?;
    if layers.value("prompt_privacy").is_some_and(|value| value.text.trim() == "hashed") {
        return key.map(Privacy::Hashed).ok_or_else(|| {
            layers.wrong("prompt_privacy", "hashed needs a key: set PICARCADE_PROMPT_HASH_KEY")
        });
    }
    required(layers, "prompt_privacy", privacy)
}

fn privacy(value: &str) -> Result<Privacy, String> {
    match value.split_once(':') {
        None if value == "full" => Ok(Privacy::Full),
        None if value == "none" => Ok(Privacy::None),
        None if value == "truncated" => Ok(Privacy::Truncated(100)),
        Some(("truncated", length)) => {
            length.parse().map(Privacy::Truncated).map_err(|_| "truncated:N needs a whole number".to_owned())
        }
        _ => Err("must be full, truncated, truncated:N, hashed or none".to_owned()),
    }
}
