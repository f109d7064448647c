//! The AI that classifies, and when it is called.

use picarcade_flow::Mode;
use picarcade_intent::{ConfigError as Problem, ProviderKind, ProviderSettings};
use secrecy::SecretString;

use super::error::ConfigError;
use super::layers::Layers;
use super::settings::Setting;
use super::values::{http_url, text};

/// The AI that classifies.
#[derive(Debug)]
pub(crate) struct Llm {
    pub(crate) provider: ProviderKind,
    pub(crate) settings: ProviderSettings,
}

/// The settings with the key and the base URL of each provider, by its name. If several keys are
/// set and no provider is chosen, the first one is used.
const PROVIDERS: [(&str, &str, &str); 3] = [
    ("anthropic", "anthropic_api_key", "anthropic_base_url"),
    ("openai", "openai_api_key", "openai_base_url"),
    ("replicate", "replicate_api_token", "replicate_base_url"),
];

pub(super) fn llm(layers: &Layers) -> Result<Option<Llm>, ConfigError> {
    let wanted = layers.parsed("llm_provider", |word| match word {
        "none" => Ok(None),
        _ => match PROVIDERS.iter().find(|provider| provider.0 == word) {
            Some(provider) => Ok(Some(provider)),
            None => Err("must be anthropic, openai, replicate or none".to_owned()),
        },
    })?;
    let chosen = match wanted {
        Some(None) => return Ok(None),
        Some(Some(provider)) => Some(provider),
        None => PROVIDERS.iter().find(|provider| layers.value(provider.1).is_some()),
    };
    let Some(&(name, key, base_url)) = chosen else { return Ok(None) };
    let Ok(provider) = name.parse::<ProviderKind>() else {
        return Err(layers.wrong("llm_provider", format!("is {name}, which this build does not contain")));
    };
    let Some(secret) = layers.parsed(key, |value| Ok(SecretString::from(value.to_owned())))? else {
        let env = Setting::of(key).map_or(key, |setting| setting.env);
        return Err(layers.wrong("llm_provider", format!("is {name}, which needs {env}")));
    };
    let settings = ProviderSettings {
        api_key: secret,
        model: layers.parsed("llm_model", text)?,
        base_url: layers.parsed(base_url, http_url)?,
    };
    match provider.check(settings.clone()) {
        Ok(()) => Ok(Some(Llm { provider, settings })),
        Err(Problem::ApiKey) => Err(layers.wrong(key, "has characters that a header field cannot carry")),
        Err(Problem::BaseUrl(reason)) => Err(layers.wrong(base_url, format!("cannot be used: {reason}"))),
        Err(Problem::Model) => Err(layers.wrong("llm_model", "must be the name of a model of the provider")),
        // This is no fault of a setting; the wiring reports it.
        Err(_) => Ok(Some(Llm { provider, settings })),
    }
}

pub(super) fn mode(layers: &Layers, has_llm: bool) -> Result<Mode, ConfigError> {
    let mode = layers.parsed("llm_mode", |word| match word {
        "llm_first" => Ok(Mode::LlmFirst),
        "cascade" => Ok(Mode::Cascade),
        "local" => Ok(Mode::Local),
        _ => Err("must be llm_first, cascade or local".to_owned()),
    })?;
    match mode {
        Some(Mode::LlmFirst | Mode::Cascade) if !has_llm => {
            Err(layers.wrong("llm_mode", "needs a provider, but no key of one is set"))
        }
        Some(mode) => Ok(mode),
        None if has_llm => Ok(Mode::LlmFirst),
        None => Ok(Mode::Local),
    }
}
