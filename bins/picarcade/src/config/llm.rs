//! The AI that classifies, and when it is called.

use picarcade_flow::Mode;
use picarcade_intent::ConfigError as Problem;
use secrecy::SecretString;

use super::error::ConfigError;
use super::layers::Layers;
use super::settings::Setting;
use super::values::{http_url, text};

/// The AI that classifies.
#[derive(Debug)]
pub(crate) struct Llm {
    pub(crate) provider: LlmProvider,
    pub(crate) key: SecretString,
    pub(crate) model: Option<String>,
    pub(crate) base_url: Option<String>,
}

/// The AI providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LlmProvider {
    Anthropic,
    OpenAi,
    Replicate,
}

pub(super) fn llm(layers: &Layers) -> Result<Option<Llm>, ConfigError> {
    const PROVIDERS: [(LlmProvider, &str, &str, &str); 3] = [
        (LlmProvider::Anthropic, "anthropic", "anthropic_api_key", "anthropic_base_url"),
        (LlmProvider::OpenAi, "openai", "openai_api_key", "openai_base_url"),
        (LlmProvider::Replicate, "replicate", "replicate_api_token", "replicate_base_url"),
    ];
    let wanted = layers.parsed("llm_provider", |word| match word {
        "none" => Ok(None),
        _ => match PROVIDERS.iter().find(|provider| provider.1 == word) {
            Some(provider) => Ok(Some(provider)),
            None => Err("must be anthropic, openai, replicate or none".to_owned()),
        },
    })?;
    let chosen = match wanted {
        Some(None) => return Ok(None),
        Some(Some(provider)) => Some(provider),
        None => PROVIDERS.iter().find(|provider| layers.value(provider.2).is_some()),
    };
    let Some(&(provider, name, key, base_url)) = chosen else { return Ok(None) };
    let Some(secret) = layers.parsed(key, |value| Ok(SecretString::from(value.to_owned())))? else {
        let env = Setting::of(key).map_or(key, |setting| setting.env);
        return Err(layers.wrong("llm_provider", format!("is {name}, which needs {env}")));
    };
    let llm = Llm {
        provider,
        key: secret,
        model: layers.parsed("llm_model", text)?,
        base_url: layers.parsed(base_url, http_url)?,
    };
    match with_builder!(&llm, builder => builder.check()) {
        Ok(()) => Ok(Some(llm)),
        Err(Problem::ApiKey) => Err(layers.wrong(key, "has characters that a header field cannot carry")),
        Err(Problem::BaseUrl(reason)) => Err(layers.wrong(base_url, format!("cannot be used: {reason}"))),
        Err(Problem::Model) => Err(layers.wrong("llm_model", "must be the name of a model of the provider")),
        // This is no fault of a setting; the wiring reports it.
        Err(_) => Ok(Some(llm)),
    }
}

/// Evaluates an expression with the builder of the chosen provider. A macro is needed because the
/// builders have three types.
macro_rules! with_builder {
    ($llm:expr, $builder:ident => $body:expr) => {
        match $llm.provider {
            $crate::config::LlmProvider::Anthropic => {
                let $builder = $crate::config::with_builder!(@of Anthropic, $llm);
                $body
            }
            $crate::config::LlmProvider::OpenAi => {
                let $builder = $crate::config::with_builder!(@of OpenAi, $llm);
                $body
            }
            $crate::config::LlmProvider::Replicate => {
                let $builder = $crate::config::with_builder!(@of Replicate, $llm);
                $body
            }
        }
    };
    (@of $provider:ident, $llm:expr) => {{
        let mut builder = picarcade_intent::$provider::builder($llm.key.clone());
        if let Some(url) = &$llm.base_url {
            builder = builder.base_url(url);
        }
        if let Some(model) = &$llm.model {
            builder = builder.model(model);
        }
        builder
    }};
}
pub(crate) use with_builder;

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
