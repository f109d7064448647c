//! One HTTP call to a provider: bounded in time and size, never repeated, never redirected.
//!
//! Connecting and each read have time-outs of their own inside the one deadline of the call, so that a dead address is
//! noticed while there is time for another try. A redirect is an error: following one would hand the key to whoever sent
//! it. What goes into an error is made of fixed words, the status, and the provider's own codes when they look like
//! codes; messages are left out, because providers quote keys and prompts in them.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Url, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::error::{ProviderError, ProviderErrorKind};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;

/// The largest response that is read. Answers have a few kilobytes; Replicate returns the input as well.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// The longest wait that a provider is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A client for one provider.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    base: Url,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// `Null` when the body is not JSON.
    pub(super) body: Value,
}

/// What a client is made of.
pub(super) struct Settings<'a> {
    pub(super) base_url: &'a str,
    pub(super) version: Version,
    /// Sent with every call.
    pub(super) headers: HeaderMap,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
}

/// How a base URL is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/v1` follows unless the URL ends in it.
    Always,
    /// `/v1` follows a URL without a path; one with a path is complete.
    OnlyWithoutPath,
}

impl Http {
    pub(super) fn new(settings: Settings<'_>) -> Result<Self, ConfigError> {
        let base = base(settings.base_url, settings.version)?;
        let mut client = Client::builder()
            .default_headers(settings.headers)
            .user_agent(concat!("picarcade/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .redirect(redirect::Policy::none())
            .retry(retry::never());
        if base.scheme() == "http" {
            // A gateway without TLS must not fail for want of root certificates, which small containers do not have.
            client = client.tls_certs_only(std::iter::empty::<Certificate>());
        }
        Ok(Self { client: client.build().map_err(|_| ConfigError::Client)?, base })
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}/{path}", self.base))
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}/{path}", self.base))
    }

    /// Sends, and reads the whole response.
    ///
    /// `billed` is what a response that breaks off is reckoned at: its provider has done the work.
    pub(super) async fn send(request: RequestBuilder, billed: u64) -> Result<Response, ProviderError> {
        let mut response = request.send().await.map_err(|error| transport(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_success = response.status().is_success();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_RESPONSE_BYTES => {
                    return Err(ProviderError::unusable(Unusable::TooLarge, is_success.then_some(billed))
                        .with_status(status));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(transport(&error).with_status(status)),
                Err(_) => {
                    let broken = ProviderError::new(ProviderErrorKind::Server, "the response breaks off");
                    return Err(ProviderError { cost_micros: is_success.then_some(billed), ..broken }
                        .with_status(status));
                }
            }
        }
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Response { status, headers, body })
    }
}

impl Response {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A string in the body.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// The error of this kind that the response is.
    ///
    /// `codes` are the provider's own words for it and `id` its name for the call; they are repeated if they look it.
    pub(super) fn error(
        &self,
        kind: ProviderErrorKind,
        codes: &[Option<&str>],
        id: Option<&str>,
    ) -> ProviderError {
        let mut detail = format!("status {}", self.status);
        for code in codes.iter().flatten().filter(|code| is_code(code)) {
            detail.push(' ');
            detail.push_str(code);
        }
        if let Some(id) = id.filter(|id| is_code(id)) {
            detail.push_str(", request ");
            detail.push_str(id);
        }
        // Money that is spent is not there again after a few seconds, whatever a gateway in between says.
        let retry_after = if kind == ProviderErrorKind::SpendLimit { None } else { self.retry_after() };
        ProviderError { retry_after, ..ProviderError::new(kind, detail) }.with_status(self.status)
    }

    /// The answer in the response, or why it cannot be used with what it cost all the same.
    ///
    /// `id` is the provider's name for the call: with it the provider's support finds what happened.
    pub(super) fn priced(
        &self,
        answer: Result<Answer, Unusable>,
        cost_micros: u64,
        id: Option<&str>,
    ) -> Result<Answer, ProviderError> {
        let id = id.filter(|id| is_code(id)).unwrap_or_default();
        let outcome = answer.as_ref().map_or_else(|reason| reason.as_str(), |_| "answered");
        tracing::debug!(request = id, cost_micros, outcome, "a provider was asked");
        answer.map_err(|reason| {
            let error = ProviderError::unusable(reason, Some(cost_micros)).with_status(self.status);
            if id.is_empty() {
                error
            } else {
                ProviderError { detail: format!("{}, request {id}", error.detail), ..error }
            }
        })
    }

    /// `retry-after-ms`, or `retry-after` in seconds, or the field of that name that Replicate puts into the body. A date is
    /// not understood: it needs a clock that agrees.
    fn retry_after(&self) -> Option<Duration> {
        let number = |name| self.header(name)?.trim().parse::<f64>().ok();
        let stated = number("retry-after-ms").map(|ms| ms / 1e3).or_else(|| number("retry-after"));
        let seconds =
            stated.or_else(|| self.body.get("retry_after")?.as_f64()).filter(|number| *number >= 0.0)?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(MAX_RETRY_AFTER).min(MAX_RETRY_AFTER))
    }
}

/// What a status means where a provider does not say more.
pub(super) const fn kind_of(status: u16) -> ProviderErrorKind {
    match status {
        402 => ProviderErrorKind::SpendLimit,
        // A model or a path that is not there is a matter of configuration, as a key is.
        401 | 403 | 404 => ProviderErrorKind::Auth,
        408 | 504 => ProviderErrorKind::Timeout,
        429 => ProviderErrorKind::RateLimited,
        503 | 529 => ProviderErrorKind::Overloaded,
        400..500 => ProviderErrorKind::Rejected,
        _ => ProviderErrorKind::Server,
    }
}

/// The value of a header that carries a secret.
pub(super) fn secret_header(prefix: &str, secret: &SecretString) -> Result<HeaderValue, ConfigError> {
    let secret = secret.expose_secret().trim();
    if secret.is_empty() {
        return Err(ConfigError::ApiKey);
    }
    let mut value = HeaderValue::from_str(&format!("{prefix}{secret}")).map_err(|_| ConfigError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The key as the header line that most APIs want.
pub(super) fn bearer(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
    Ok(HeaderMap::from_iter([(AUTHORIZATION, secret_header("Bearer ", api_key)?)]))
}

/// The call within its deadline.
pub(super) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let late = || Err(ProviderError::new(ProviderErrorKind::Timeout, "no answer before the deadline"));
    tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| late())
}

/// Checks a base URL.
pub(super) fn check_base(base_url: &str) -> Result<(), ConfigError> {
    base(base_url, Version::Always).map(drop)
}

fn base(base_url: &str, version: Version) -> Result<Url, ConfigError> {
    let mut url = Url::parse(base_url.trim()).map_err(|_| ConfigError::BaseUrl("it is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(ConfigError::BaseUrl("it is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::BaseUrl("it must not hold credentials"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::BaseUrl("it must not have a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let is_complete = match version {
        Version::Always => path.ends_with("/v1"),
        Version::OnlyWithoutPath => !path.is_empty(),
    };
    url.set_path(&if is_complete { path } else { path + "/v1" });
    Ok(url)
}

/// A failure below HTTP, in fixed words: the library's own name the URL.
fn transport(error: &reqwest::Error) -> ProviderError {
    let (kind, detail) = if error.is_connect() {
        (ProviderErrorKind::Connect, "cannot connect")
    } else if error.is_timeout() {
        (ProviderErrorKind::Timeout, "the provider is silent")
    } else if error.is_builder() {
        (ProviderErrorKind::Rejected, "the request cannot be built")
    } else {
        (ProviderErrorKind::Server, "the connection broke off")
    };
    ProviderError::new(kind, detail)
}

/// Whether a provider's word is fit to be repeated: short, and of the letters that codes are made of.
fn is_code(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&word.len()) && word.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_completed_as_their_vendors_do() {
        let complete = |url, version| base(url, version).map(String::from);
        for (url, version, expected) in [
            ("https://api.anthropic.com", Version::Always, "https://api.anthropic.com/v1"),
            ("https://api.anthropic.com/v1/", Version::Always, "https://api.anthropic.com/v1"),
            ("https://host/anthropic", Version::Always, "https://host/anthropic/v1"),
            ("http://127.0.0.1:9", Version::OnlyWithoutPath, "http://127.0.0.1:9/v1"),
            ("https://host/v1beta/openai/", Version::OnlyWithoutPath, "https://host/v1beta/openai"),
        ] {
            assert_eq!(complete(url, version), Ok(expected.to_owned()));
        }
        for wrong in ["", "host", "ftp://host", "https://user:pass@host", "https://host/?key=1"] {
            assert!(matches!(complete(wrong, Version::Always), Err(ConfigError::BaseUrl(_))), "{wrong}");
        }
    }

    #[test]
    fn only_codes_are_repeated() {
        assert!(is_code("rate_limit_error") && is_code("req_011CS-x.1"));
        assert!(!is_code("Incorrect API key provided: sk-1") && !is_code("") && !is_code(&"a".repeat(65)));
    }

    #[test]
    fn waits_are_read_and_bounded() {
        let with = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            Response { status: 429, headers, body: Value::Null }.retry_after()
        };
        assert_eq!(with("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(with("retry-after-ms", "1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(with("retry-after", "1e300"), Some(MAX_RETRY_AFTER));
        let body = serde_json::json!({"detail": "throttled", "retry_after": 6});
        let told = Response { status: 429, headers: HeaderMap::new(), body };
        assert_eq!(told.retry_after(), Some(Duration::from_secs(6)));
        for nonsense in ["-1", "soon", "NaN", "Fri, 31 Dec 1999 23:59:59 GMT"] {
            assert_eq!(with("retry-after", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn secrets_stay_hidden() {
        let value = secret_header("Bearer ", &SecretString::from(" sk-secret ")).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer sk-secret");
        assert!(!format!("{value:?}").contains("sk-secret"));
        assert_eq!(secret_header("", &SecretString::from(" ")), Err(ConfigError::ApiKey));
        assert_eq!(secret_header("", &SecretString::from("a\nb")), Err(ConfigError::ApiKey));
    }
}
