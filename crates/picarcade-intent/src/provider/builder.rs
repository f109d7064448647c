//! The settings of a provider, equal for every vendor.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use secrecy::SecretString;

use super::http::{Http, Settings, check_base};
use super::terms::Terms;
use super::vendor::{Client, Vendor};
use crate::error::ConfigError;

/// The default time for connecting, including name resolution and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default time without any data. Nothing is streamed, so this is the time for a whole answer,
/// which usually takes five seconds.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// The settings of a provider `P`: [`Anthropic`](super::Anthropic), [`OpenAi`](super::OpenAi) or
/// [`Replicate`](super::Replicate).
#[derive(Clone)]
pub struct ProviderBuilder<P> {
    api_key: SecretString,
    base_url: String,
    model: String,
    connect_timeout: Duration,
    read_timeout: Duration,
    terms: Option<Terms>,
    vendor: PhantomData<fn() -> P>,
}

impl<P: Vendor> ProviderBuilder<P> {
    pub(super) fn new(api_key: SecretString) -> Self {
        Self {
            api_key,
            base_url: P::BASE_URL.to_owned(),
            model: P::MODEL.to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            read_timeout: READ_TIMEOUT,
            terms: None,
            vendor: PhantomData,
        }
    }

    /// Sets the URL of the API. By default it is the public one of the vendor.
    ///
    /// `/v1` is added if it is missing. For [`OpenAi`](super::OpenAi) it is added only to a URL
    /// without a path, because compatible servers have paths of their own.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// Sets the model. By default it is a fast and cheap one. For Replicate, the form is
    /// `owner/name` or `owner/name:version`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// Sets the time for connecting, within the time of a call. Default 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time without any data, within the time of a call. Default 20 s.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets the prices and fields of the model. The default comes from the table of [`Terms`].
    #[must_use]
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }

    /// Creates the provider. Nothing is sent.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] if the key or the model is empty or cannot be sent, or if the base
    /// URL is invalid.
    pub fn build(self) -> Result<P, ConfigError> {
        self.check()?;
        let http = Http::new(Settings {
            base_url: &self.base_url,
            version: P::VERSION,
            headers: P::headers(&self.api_key)?,
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
        })?;
        let terms = self.terms.unwrap_or_else(|| Terms::of(P::NAME, &self.model));
        Ok(P::of(Client { http, model: self.model, terms }))
    }

    /// Checks the settings without creating an HTTP client.
    ///
    /// # Errors
    ///
    /// Fails like [`build`](Self::build), except with [`ConfigError::Client`].
    pub fn check(&self) -> Result<(), ConfigError> {
        // The name of a model appears in paths, logs and metrics: bounded printable ASCII without
        // spaces.
        let is_plain =
            (1..=200).contains(&self.model.len()) && self.model.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain {
            return Err(ConfigError::Model);
        }
        P::check_model(&self.model)?;
        P::headers(&self.api_key)?;
        check_base(&self.base_url)
    }
}

/// Omits the key, and the URL too: credentials in it are rejected only when the provider is built.
impl<P: Vendor> fmt::Debug for ProviderBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderBuilder")
            .field("provider", &P::NAME)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
