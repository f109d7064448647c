//! One HTTP call to a provider: bounded in time and size, never repeated, never redirected.
//!
//! Connecting and each read have time-outs within the deadline of the call, so that a dead address
//! leaves time for another attempt. A redirect is an error, because following it would send the key
//! to another server. An error contains fixed words, the status, the codes of the provider if they
//! look like codes, and its message without secrets and without the words of the prompt.

use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, DATE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Url, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::encoding::{self, Undecodable};
use super::error::{ProviderError, ProviderErrorKind};
use super::{body, fault, message};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;

/// The maximum size of a response. Answers have a few kilobytes; Replicate returns the input too.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// The part of a key that must not appear in an error, in bytes. A shorter key must not appear as a
/// word.
const KEY_PART_BYTES: usize = 8;

/// The maximum wait that is accepted from a provider.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86400);

/// A client for one provider.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    base: Url,
    /// The header values that carry the key. They are not shown by `Debug`.
    secrets: Vec<HeaderValue>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// `Null` if the body is not JSON.
    pub(super) body: Value,
}

/// The settings of a client.
pub(super) struct Settings<'a> {
    pub(super) base_url: &'a str,
    pub(super) version: Version,
    /// Sent with every call.
    pub(super) headers: HeaderMap,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
}

/// How a base URL is completed with the version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/v1` is added unless the URL ends in it.
    Always,
    /// `/v1` is added to a URL without a path; a URL with a path is complete.
    OnlyWithoutPath,
}

impl Http {
    pub(super) fn new(settings: Settings<'_>) -> Result<Self, ConfigError> {
        let base = base(settings.base_url, settings.version)?;
        let mut headers = settings.headers;
        let secrets = headers.values().filter(|value| value.is_sensitive()).cloned().collect();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding::ACCEPTED));
        let mut client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("picarcade/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .redirect(redirect::Policy::none())
            .retry(retry::never());
        if base.scheme() == "http" {
            // Small containers have no root certificates, which a gateway without TLS does not
            // need.
            client = client.tls_certs_only(std::iter::empty::<Certificate>());
        }
        Ok(Self { client: client.build().map_err(|_| ConfigError::Client)?, base, secrets })
    }

    /// Removes the detail of an error that repeats the key. A provider can send the key back in the
    /// place of a code or of the name of the request.
    pub(super) fn without_secrets(&self, error: ProviderError) -> ProviderError {
        let holds_secret = |secret: &HeaderValue| {
            let secret = secret.to_str().unwrap_or_default();
            let secret = secret.rsplit(' ').next().unwrap_or_default();
            let is_part =
                |part: &[u8]| error.detail.as_bytes().windows(KEY_PART_BYTES).any(|window| window == part);
            error.detail.split(|letter: char| !is_code_letter(letter)).any(|word| word == secret)
                || secret.as_bytes().windows(KEY_PART_BYTES).any(is_part)
        };
        if self.secrets.iter().any(holds_secret) {
            return ProviderError { detail: "detail removed: it repeats the key".to_owned(), ..error };
        }
        error
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}/{path}", self.base))
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}/{path}", self.base))
    }

    /// Sends a request and reads the whole response.
    ///
    /// `billed` is the cost of a request without a readable response, because its provider may have
    /// done the work. Only a request that was not sent is certainly free. A failed response that
    /// cannot be read still has its status.
    pub(super) async fn send(request: RequestBuilder, billed: u64) -> Result<Response, ProviderError> {
        let mut response = request.send().await.map_err(|error| transport(&error, billed))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_success = response.status().is_success();
        match Self::body(&mut response, billed).await {
            Ok(body) => Ok(Response { status, headers, body }),
            Err(_) if !is_success => Ok(Response { status, headers, body: Value::Null }),
            Err(error) => Err(error.with_status(status)),
        }
    }

    /// Reads the body of a response as JSON, decoded and bounded.
    async fn body(response: &mut reqwest::Response, billed: u64) -> Result<Value, ProviderError> {
        let too_large = || ProviderError::unusable(Unusable::TooLarge, Some(billed));
        let broken = || {
            let broken = ProviderError::new(ProviderErrorKind::Server, "the response ended early");
            ProviderError { cost_micros: Some(billed), ..broken }
        };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_RESPONSE_BYTES => {
                    return Err(too_large());
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(transport(&error, billed)),
                Err(_) => return Err(broken()),
            }
        }
        let codings = response.headers().get_all(CONTENT_ENCODING).iter();
        let codings = codings.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
        match encoding::decode(&codings, body, MAX_RESPONSE_BYTES) {
            Ok(body) => Ok(body::json(&body)),
            Err(Undecodable::TooLarge) => Err(too_large()),
            Err(Undecodable::Broken) => Err(broken()),
        }
    }
}

impl Response {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns a string in the body.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// Returns the error of this kind.
    ///
    /// `codes` are the codes of the provider and `id` is its name for the call. They are repeated
    /// if they look like codes.
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
        // An exhausted budget does not recover within seconds, whatever a gateway states.
        let retry_after = if kind == ProviderErrorKind::SpendLimit { None } else { self.retry_after() };
        ProviderError { retry_after, ..ProviderError::new(kind, detail) }.with_status(self.status)
    }

    /// Adds the message of the response to an error, without secrets and without the words of the
    /// prompt.
    pub(super) fn with_message(&self, error: ProviderError, prompt: &str) -> ProviderError {
        let stated = fault::fault(&self.body).map(|fault| fault.message).unwrap_or_default();
        let message = message::scrubbed(stated, prompt);
        if message.is_empty() {
            return error;
        }
        let described = ProviderError::new(error.kind, format!("{}: {message}", error.detail));
        ProviderError { detail: described.detail, ..error }
    }

    /// Returns the error that the body of a successful response describes, if there is one.
    pub(super) fn fault(&self) -> Option<ProviderError> {
        let fault = fault::fault(&self.body)?;
        let codes: Vec<_> = fault.codes.into_iter().map(Some).collect();
        let id = self.header("request-id").or_else(|| self.header("x-request-id"));
        Some(self.error(fault.kind, &codes, id.or_else(|| self.text("/request_id"))))
    }

    /// Returns the answer, or the reason why it cannot be used together with its cost.
    ///
    /// `id` is the name of the call at the provider, which its support needs to find the call.
    pub(super) fn priced(
        &self,
        answer: Result<Answer, Unusable>,
        cost_micros: u64,
        id: Option<&str>,
    ) -> Result<Answer, ProviderError> {
        let id = id.filter(|id| is_code(id)).unwrap_or_default();
        let outcome = answer.as_ref().map_or_else(|reason| reason.as_str(), |_| "answered");
        tracing::debug!(request = id, cost_micros, outcome, "a provider responded");
        answer.map_err(|reason| {
            let error = ProviderError::unusable(reason, Some(cost_micros)).with_status(self.status);
            if id.is_empty() {
                error
            } else {
                ProviderError { detail: format!("{}, request {id}", error.detail), ..error }
            }
        })
    }

    /// Returns the time to wait from `retry-after-ms`, from `retry-after`, or from the field
    /// `retry_after` of the body.
    ///
    /// `retry-after` is a number of seconds or an HTTP date. A date counts from the `date` of the
    /// same response, so the clocks need not agree.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let milliseconds = || self.header("retry-after-ms")?.trim().parse::<f64>().ok().map(|ms| ms / 1e3);
        let seconds = || self.header("retry-after")?.trim().parse::<f64>().ok();
        let date = || {
            let at = httpdate::parse_http_date(self.header("retry-after")?.trim()).ok()?;
            let sent = self.header(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
            let wait = at.duration_since(sent.unwrap_or_else(SystemTime::now)).unwrap_or_default();
            Some(wait.as_secs_f64())
        };
        let in_body = || {
            let stated =
                ["/retry_after", "/error/retry_after"].iter().find_map(|at| self.body.pointer(at))?;
            stated.as_f64().or_else(|| stated.as_str()?.trim().parse().ok())
        };
        let possible = |seconds: &f64| *seconds >= 0.0;
        let seconds = (milliseconds().filter(possible))
            .or_else(|| seconds().filter(possible))
            .or_else(date)
            .or_else(|| in_body().filter(possible))?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(MAX_RETRY_AFTER).min(MAX_RETRY_AFTER))
    }
}

/// Returns the value of a header that carries a secret.
pub(super) fn secret_header(prefix: &str, secret: &SecretString) -> Result<HeaderValue, ConfigError> {
    let secret = secret.expose_secret().trim();
    if secret.is_empty() {
        return Err(ConfigError::ApiKey);
    }
    let mut value = HeaderValue::from_str(&format!("{prefix}{secret}")).map_err(|_| ConfigError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the key as the header that most APIs require.
pub(super) fn bearer(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
    Ok(HeaderMap::from_iter([(AUTHORIZATION, secret_header("Bearer ", api_key)?)]))
}

/// Runs a call within its deadline.
pub(super) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let late = || Err(ProviderError::new(ProviderErrorKind::Timeout, "no answer before the deadline"));
    tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| late())
}

pub(super) fn check_base(base_url: &str) -> Result<(), ConfigError> {
    base(base_url, Version::Always).map(drop)
}

fn base(base_url: &str, version: Version) -> Result<Url, ConfigError> {
    let mut url = Url::parse(base_url.trim()).map_err(|_| ConfigError::BaseUrl("it is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(ConfigError::BaseUrl("it is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::BaseUrl("it must not contain credentials"));
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

/// Describes a failure below HTTP in fixed words, because the texts of the library contain the URL.
fn transport(error: &reqwest::Error, billed: u64) -> ProviderError {
    if error.is_connect() {
        ProviderError::new(ProviderErrorKind::Connect, "cannot connect")
    } else if error.is_timeout() {
        ProviderError::new(ProviderErrorKind::Timeout, "the provider sent nothing in time")
    } else if error.is_builder() {
        ProviderError::new(ProviderErrorKind::Rejected, "the request cannot be built")
    } else {
        let lost = ProviderError::new(ProviderErrorKind::Server, "the connection was lost");
        ProviderError { cost_micros: Some(billed), ..lost }
    }
}

/// Returns whether a word of a provider looks like a code: short, and of the characters of codes.
fn is_code(word: &str) -> bool {
    (1..=64).contains(&word.len()) && word.chars().all(is_code_letter)
}

const fn is_code_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_get_the_version_of_the_api() {
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
        let stated = Response { status: 429, headers: HeaderMap::new(), body };
        assert_eq!(stated.retry_after(), Some(Duration::from_secs(6)));
        assert_eq!(with("retry-after", "0"), Some(Duration::ZERO));
        assert_eq!(with("retry-after", "0.25"), Some(Duration::from_millis(250)));
        assert_eq!(with("retry-after", "31536000"), Some(MAX_RETRY_AFTER));
        for malformed in ["-1", "soon", "NaN", "", "Fri, 31 Foo 1999 23:59:59 GMT"] {
            assert_eq!(with("retry-after", malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_date_counts_from_the_date_of_the_response() {
        let waits = |date: Option<&'static str>, retry_after: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", HeaderValue::from_static(retry_after));
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_static(date));
            }
            Response { status: 429, headers, body: Value::Null }.retry_after()
        };
        let sent = Some("Fri, 31 Dec 1999 23:59:59 GMT");
        for (at, wait) in [
            ("Sat, 01 Jan 2000 00:00:59 GMT", Duration::from_secs(60)),
            ("Saturday, 01-Jan-00 00:00:00 GMT", Duration::from_secs(1)),
            ("Fri, 31 Dec 1999 23:59:58 GMT", Duration::ZERO),
            ("Thu, 31 Dec 2099 23:59:59 GMT", MAX_RETRY_AFTER),
        ] {
            assert_eq!(waits(sent, at), Some(wait), "{at}");
        }
        assert_eq!(waits(None, "Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert_eq!(waits(Some("today"), "Tue, 31 Dec 2999 23:59:59 GMT"), Some(MAX_RETRY_AFTER));
    }

    #[test]
    fn secret_headers_are_hidden() {
        let value = secret_header("Bearer ", &SecretString::from(" sk-secret ")).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer sk-secret");
        assert!(!format!("{value:?}").contains("sk-secret"));
        assert_eq!(secret_header("", &SecretString::from(" ")), Err(ConfigError::ApiKey));
        assert_eq!(secret_header("", &SecretString::from("a\nb")), Err(ConfigError::ApiKey));
    }
}
