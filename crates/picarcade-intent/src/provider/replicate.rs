//! Replicate predictions.
//!
//! Creating one with `Prefer: wait` usually returns it finished; otherwise it is polled until the deadline. `Cancel-After`
//! tells Replicate the deadline too, so that nothing goes on working, and costing, for a caller that has left. Text models
//! there take no schema: the instructions alone ask for JSON. Polling goes to the configured base URL and never to a URL
//! out of a response, because the token goes along.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::builder::{ProviderBuilder, READ_TIMEOUT, Vendor};
use super::error::{ProviderError, ProviderErrorKind};
use super::http::{Http, Response, Version, kind_of, secret_header, within};
use super::terms::{Terms, Usage};
use super::{Provider, question};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

const NAME: &str = "replicate";

/// How long Replicate is asked to hold a creating request at most, in seconds: it is silent for that long, and must not be
/// taken for dead. Its own maximum is 60.
const MAX_WAIT_SECONDS: u64 = READ_TIMEOUT.as_secs() * 3 / 4;

/// The shortest deadline that Replicate takes, in seconds.
const MIN_CANCEL_SECONDS: u64 = 5;

/// The pause before the first poll, doubled for each further one up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between polls.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A language model at Replicate.
///
/// ```
/// use picarcade_intent::{ConfigError, Replicate};
/// use secrecy::SecretString;
///
/// let token = SecretString::from("r8_secret");
/// assert!(Replicate::builder(token.clone()).model("meta/meta-llama-3-70b-instruct").build().is_ok());
/// assert_eq!(Replicate::builder(token).model("llama").build().unwrap_err(), ConfigError::Model);
/// ```
#[derive(Debug, Clone)]
pub struct Replicate {
    http: Http,
    model: String,
    terms: Terms,
}

impl Replicate {
    /// A provider with this token. Nothing is sent until it is asked.
    pub fn builder(api_token: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_token)
    }

    fn body(&self, request: &Request, feasible: TypeSet) -> Value {
        let mut input = Map::new();
        input.insert("prompt".to_owned(), question::turn(request, feasible).into());
        input.insert("system_prompt".to_owned(), question::INSTRUCTIONS.into());
        input.insert(self.terms.output_limit.as_str().to_owned(), self.terms.max_output_tokens.into());
        if self.terms.temperature {
            input.insert("temperature".to_owned(), 0.into());
        }
        match self.version() {
            Some(version) => json!({"version": version, "input": input}),
            None => json!({"input": input}),
        }
    }

    /// The version of a model that is named with one.
    fn version(&self) -> Option<&str> {
        self.model.split_once(':').map(|(_, version)| version)
    }

    async fn predict(
        &self,
        request: &Request,
        feasible: TypeSet,
        timeout: Duration,
        estimate: u64,
    ) -> Result<Response, ProviderError> {
        let path = match self.version() {
            Some(_) => "predictions".to_owned(),
            None => format!("models/{}/predictions", self.model),
        };
        let wait = timeout.as_secs().clamp(1, MAX_WAIT_SECONDS);
        let cancel = timeout.as_secs().saturating_add(1).max(MIN_CANCEL_SECONDS);
        let call = self
            .http
            .post(&path)
            .header("prefer", format!("wait={wait}"))
            .header("cancel-after", format!("{cancel}s"))
            .json(&self.body(request, feasible));
        let mut response = Http::send(call, estimate).await?;
        let mut pause = FIRST_PAUSE;
        while response.is_success() && matches!(response.text("/status"), Some("starting" | "processing")) {
            let id = response.text("/id").filter(|id| is_id(id)).ok_or_else(|| {
                ProviderError::unusable(Unusable::Malformed, Some(estimate)).with_status(response.status)
            })?;
            let path = format!("predictions/{id}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            response = Http::send(self.http.get(&path), estimate).await?;
            if !response.is_success() {
                // The prediction goes on and is billed, whatever became of the question after it.
                return Err(ProviderError { cost_micros: Some(estimate), ..refused(&response) });
            }
        }
        Ok(response)
    }

    fn read(&self, response: &Response, estimate: u64) -> Result<Answer, ProviderError> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let cost = usage(&response.body).map_or(estimate, |usage| self.terms.cost(usage));
        let ended = |kind, cost_micros| {
            let error = response.error(kind, &[response.text("/status")], response.text("/id"));
            Err(ProviderError { cost_micros, ..error })
        };
        match response.text("/status") {
            Some("succeeded") => {
                let answer = match output(&response.body["output"]) {
                    Some(text) if !text.trim().is_empty() => Answer::from_text(&text, cost),
                    _ => Err(Unusable::Missing),
                };
                response.priced(answer, cost, response.text("/id"))
            }
            Some("failed") if is_refusal(response.text("/error").unwrap_or_default()) => {
                response.priced(Err(Unusable::Refusal), cost, response.text("/id"))
            }
            Some("failed") => ended(ProviderErrorKind::Server, None),
            // Past its deadline while it was running: it is billed, and nobody says for how much.
            Some("canceled") => ended(ProviderErrorKind::Timeout, Some(estimate)),
            // Past its deadline before it began: there was no room for it.
            Some("aborted") => ended(ProviderErrorKind::Overloaded, Some(0)),
            _ => response.priced(Err(Unusable::Malformed), cost, response.text("/id")),
        }
    }
}

#[async_trait]
impl Provider for Replicate {
    fn name(&self) -> &str {
        NAME
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn estimate_micros(&self, request: &Request) -> u64 {
        question::estimate(&self.terms, request)
    }

    async fn classify(
        &self,
        request: &Request,
        feasible: TypeSet,
        timeout: Duration,
    ) -> Result<Answer, ProviderError> {
        let estimate = self.estimate_micros(request);
        let response = within(timeout, self.predict(request, feasible, timeout, estimate)).await?;
        self.read(&response, estimate)
    }
}

impl Vendor for Replicate {
    const MODEL: &'static str = "anthropic/claude-4.5-haiku";
    const NAME: &'static str = NAME;
    const BASE_URL: &'static str = "https://api.replicate.com";
    const VERSION: Version = Version::Always;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        Ok(HeaderMap::from_iter([(AUTHORIZATION, secret_header("Bearer ", api_key)?)]))
    }

    /// `owner/name` or `owner/name:version`, because they become parts of a path.
    fn check_model(model: &str) -> Result<(), ConfigError> {
        let (name, version) =
            model.split_once(':').map_or((model, None), |(name, version)| (name, Some(version)));
        let (owner, name) = name.split_once('/').ok_or(ConfigError::Model)?;
        let is_named = [owner, name, version.unwrap_or("v")].into_iter().all(is_word);
        if is_named { Ok(()) } else { Err(ConfigError::Model) }
    }

    fn assemble(http: Http, model: String, terms: Terms) -> Self {
        Self { http, model, terms }
    }
}

/// What an error response means.
fn refused(response: &Response) -> ProviderError {
    response.error(kind_of(response.status), &[], response.text("/id"))
}

/// The output of a text model: one text, or its pieces in order.
fn output(output: &Value) -> Option<String> {
    match output {
        Value::String(text) => Some(text.clone()),
        Value::Array(pieces) => pieces.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Whether a failure was the model's or the platform's decision not to answer.
fn is_refusal(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    ["sensitive", "nsfw", "safety", "content policy", "e005"].iter().any(|word| error.contains(word))
}

fn usage(body: &Value) -> Option<Usage> {
    let tokens = |name: &str| body.pointer(&format!("/metrics/{name}"))?.as_u64();
    Some(Usage {
        input: tokens("input_token_count")?,
        output: tokens("output_token_count")?,
        ..Usage::default()
    })
}

/// Whether a text can be one part of a path.
fn is_word(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !word.is_empty() && word.bytes().all(fits) && word.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a prediction's id can be one part of a path.
fn is_id(id: &str) -> bool {
    id.len() <= 64 && is_word(id)
}
