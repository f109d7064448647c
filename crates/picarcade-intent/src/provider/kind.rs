//! The providers of this crate, chosen by name at run time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;

use super::anthropic::Anthropic;
use super::builder::ProviderBuilder;
use super::interface::Provider;
use super::openai::OpenAi;
use super::replicate::Replicate;
use super::vendor::Vendor;
use crate::error::ConfigError;

/// A provider of this crate. A new provider is its file, its entry in the module, and one row of
/// [`ALL`](Self::ALL).
///
/// ```
/// use picarcade_intent::{ProviderKind, ProviderSettings};
/// use secrecy::SecretString;
///
/// let kind: ProviderKind = "openai".parse()?;
/// let key = SecretString::from("sk-secret");
/// let provider = kind.build(ProviderSettings { api_key: key, model: None, base_url: None })?;
/// assert_eq!(provider.name(), kind.as_str());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct ProviderKind {
    name: &'static str,
    key_variable: &'static str,
    base_url: &'static str,
    model: &'static str,
    check: fn(ProviderSettings) -> Result<(), ConfigError>,
    build: fn(ProviderSettings) -> Result<Arc<dyn Provider>, ConfigError>,
}

/// A name that no [`ProviderKind`] has. The error lists the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", ProviderKind::ALL.map(ProviderKind::as_str).join(", "))]
pub struct UnknownProvider;

/// The settings that every kind of provider has. [`ProviderBuilder`] has more.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// The key of the account.
    pub api_key: SecretString,
    /// The model; by default a fast and cheap one.
    pub model: Option<String>,
    /// The URL of the API; by default the public one of the vendor.
    pub base_url: Option<String>,
}

impl ProviderKind {
    /// Every provider of this crate.
    pub const ALL: [Self; 3] = [Self::of::<Anthropic>(), Self::of::<OpenAi>(), Self::of::<Replicate>()];

    const fn of<P: Vendor + 'static>() -> Self {
        Self {
            name: P::NAME,
            key_variable: P::KEY_VARIABLE,
            base_url: P::BASE_URL,
            model: P::MODEL,
            check: |settings| settings.into_builder::<P>().check(),
            build: |settings| Ok(Arc::new(settings.into_builder::<P>().build()?)),
        }
    }

    /// Returns the name, such as `anthropic`.
    pub const fn as_str(self) -> &'static str {
        self.name
    }

    /// Returns the environment variable in which the vendor's own tools expect the key, such as
    /// `ANTHROPIC_API_KEY`.
    pub const fn key_variable(self) -> &'static str {
        self.key_variable
    }

    /// Returns the public base URL, which is the default.
    pub const fn default_base_url(self) -> &'static str {
        self.base_url
    }

    /// Returns the default model.
    pub const fn default_model(self) -> &'static str {
        self.model
    }

    /// Checks the settings without creating an HTTP client.
    ///
    /// # Errors
    ///
    /// Fails like [`ProviderBuilder::check`].
    pub fn check(self, settings: ProviderSettings) -> Result<(), ConfigError> {
        (self.check)(settings)
    }

    /// Creates the provider. Nothing is sent.
    ///
    /// # Errors
    ///
    /// Fails like [`ProviderBuilder::build`].
    pub fn build(self, settings: ProviderSettings) -> Result<Arc<dyn Provider>, ConfigError> {
        (self.build)(settings)
    }
}

impl ProviderSettings {
    fn into_builder<P: Vendor>(self) -> ProviderBuilder<P> {
        let mut builder = ProviderBuilder::new(self.api_key);
        if let Some(model) = self.model {
            builder = builder.model(model);
        }
        if let Some(base_url) = self.base_url {
            builder = builder.base_url(base_url);
        }
        builder
    }
}

impl FromStr for ProviderKind {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, UnknownProvider> {
        Self::ALL.into_iter().find(|kind| kind.name == name).ok_or(UnknownProvider)
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl fmt::Debug for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProviderKind").field(&self.name).finish()
    }
}

impl PartialEq for ProviderKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ProviderKind {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_the_name_of_its_provider() {
        for kind in ProviderKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let api_key = SecretString::from("secret");
            let settings = ProviderSettings { api_key, model: None, base_url: None };
            assert_eq!(kind.build(settings).unwrap().name(), kind.as_str());
        }
        let error = "clippy".parse::<ProviderKind>().unwrap_err();
        assert_eq!(error.to_string(), "must be one of anthropic, openai, replicate");
    }

    #[test]
    fn settings_reach_the_provider() {
        let settings = |model: &str, base_url: &str| ProviderSettings {
            api_key: SecretString::from("secret"),
            model: Some(model.to_owned()),
            base_url: Some(base_url.to_owned()),
        };
        let kind: ProviderKind = "anthropic".parse().unwrap();
        assert_eq!(kind.build(settings("claude-x", "https://host")).unwrap().model(), "claude-x");
        assert_eq!(kind.check(settings("two words", "https://host")), Err(ConfigError::Model));
        assert!(matches!(kind.check(settings("claude-x", "host")), Err(ConfigError::BaseUrl(_))));
    }
}
