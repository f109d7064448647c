//! Settings of a provider, the same for each.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use secrecy::SecretString;

use super::http::{Http, Settings, check_base};
use super::terms::Terms;
use super::vendor::{Client, Vendor};
use crate::error::ConfigError;

/// How long connecting may take unless set, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a provider may be silent unless set. Nothing is streamed, so this is the time for a whole answer; they take
/// about five seconds.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Settings of a provider `P`: [`Anthropic`](super::Anthropic), [`OpenAi`](super::OpenAi) or
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

    /// Where the API is; default the vendor's public one.
    ///
    /// `/v1` is added where it is missing; for [`OpenAi`](super::OpenAi) only to a URL without a path, because servers
    /// that are compatible with it have paths of their own.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// The model to ask; default a quick and cheap one. At Replicate `owner/name` or
    /// `owner/name:version`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// How long connecting may take, within the time of a call; default 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the provider may be silent, within the time of a call; default 20 s.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// The model's prices and fields; default what the table of [`Terms`] says of it.
    #[must_use]
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }

    /// The provider. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the key or the model is empty or cannot be sent, or the base URL is not one.
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

    /// Checks the settings without setting up an HTTP client.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as [`build`](Self::build), except [`ConfigError::Client`].
    pub fn check(&self) -> Result<(), ConfigError> {
        // A model's name ends up in paths, logs and metrics: printable ASCII without spaces, and not without end.
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

/// Without the key, and without the URL: one with credentials in it is only refused when the provider is built.
impl<P: Vendor> fmt::Debug for ProviderBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderBuilder")
            .field("provider", &P::NAME)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
