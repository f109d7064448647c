//! The settings of the AI that classifies, and when it is called.

use picarcade_flow::Mode;
use picarcade_intent::{ConfigError as Problem, ProviderKind, ProviderSettings};

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{self, Setting, key_of, plain, url};
use super::values::{http_url, provider_key, text, word};

/// The AI that classifies.
#[derive(Debug)]
pub(crate) struct Llm {
    pub(crate) provider: ProviderKind,
    pub(crate) settings: ProviderSettings,
}

pub(super) fn settings() -> Vec<Setting> {
    let mut settings = vec![plain("LLM_PROVIDER"), plain("LLM_MODEL"), plain("LLM_MODE")];
    settings.extend(ProviderKind::ALL.map(|provider| setting::secret(provider.key_variable())));
    settings.extend(ProviderKind::ALL.map(|provider| url(&base_url_variable(provider))));
    settings
}

pub(super) fn base_url_variable(provider: ProviderKind) -> String {
    format!("{}_BASE_URL", provider.as_str().to_uppercase())
}

pub(super) fn llm(layers: &Layers) -> Result<Option<Llm>, ConfigError> {
    let Some(provider) = provider(layers)? else { return Ok(None) };
    let variable = provider.key_variable();
    let (key, base_url) = (key_of(variable), key_of(&base_url_variable(provider)));
    let Some(api_key) = layers.parsed(&key, provider_key)? else {
        return Err(layers.wrong("llm_provider", format!("is {provider}, which needs {variable}")));
    };
    let settings = ProviderSettings {
        api_key,
        model: layers.parsed("llm_model", text)?,
        base_url: layers.parsed(&base_url, http_url)?,
    };
    match provider.check(settings.clone()) {
        Ok(()) => Ok(Some(Llm { provider, settings })),
        Err(Problem::ApiKey) => Err(layers.wrong(&key, "has characters that a header field cannot carry")),
        Err(Problem::BaseUrl(reason)) => Err(layers.wrong(&base_url, format!("cannot be used: {reason}"))),
        Err(Problem::Model) => Err(layers.wrong("llm_model", "must be the name of a model of the provider")),
        // This is no fault of a setting; the wiring reports it.
        Err(_) => Ok(Some(Llm { provider, settings })),
    }
}

/// Returns the chosen provider; without a choice, the first one whose key is set.
fn provider(layers: &Layers) -> Result<Option<ProviderKind>, ConfigError> {
    let chosen = layers.parsed("llm_provider", |name| match name {
        "none" => Ok(None),
        _ => name.parse().map(Some).map_err(|_| {
            format!("must be {} or none", ProviderKind::ALL.map(ProviderKind::as_str).join(", "))
        }),
    })?;
    let has_key = |provider: &ProviderKind| layers.value(&key_of(provider.key_variable())).is_some();
    Ok(chosen.unwrap_or_else(|| ProviderKind::ALL.into_iter().find(has_key)))
}

pub(super) fn mode(layers: &Layers, has_llm: bool) -> Result<Mode, ConfigError> {
    match layers.parsed("llm_mode", word)? {
        Some(Mode::LlmFirst | Mode::Cascade) if !has_llm => {
            Err(layers.wrong("llm_mode", "needs a provider, but no key of one is set"))
        }
        Some(mode) => Ok(mode),
        None if has_llm => Ok(Mode::LlmFirst),
        None => Ok(Mode::Local),
    }
}
