//! Replicate predictions.
//!
//! Creating one with `Prefer: wait` usually returns it finished; otherwise it is polled until the deadline. `Cancel-After`
//! tells Replicate the deadline too, so that nothing goes on working, and costing, for a caller that has left. Text models
//! there take no schema: the instructions alone ask for JSON. Polling goes to the configured base URL and never to a URL
//! out of a response, because the token goes along.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::builder::{ProviderBuilder, READ_TIMEOUT};
use super::error::{ProviderError, ProviderErrorKind};
use super::http::{Http, Response, Version, bearer, kind_of};
use super::question;
use super::terms::Usage;
use super::vendor::{Client, Vendor};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

/// How long Replicate is asked to hold a creating request at most, in seconds: it is silent for that long, and must not be
/// taken for dead. Its own maximum is 60.
const MAX_WAIT_SECONDS: u64 = READ_TIMEOUT.as_secs() * 3 / 4;

/// The shortest deadline that Replicate takes, in seconds.
const MIN_CANCEL_SECONDS: u64 = 5;

/// The longest deadline that is stated, in seconds: a prediction runs half an hour at most.
const MAX_CANCEL_SECONDS: u64 = 60 * 60;

/// The pause before the first poll, doubled for each further one up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between polls.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How many polls may fail one after the other.
const MAX_FAILED_POLLS: u32 = 3;

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
pub struct Replicate(Client);

impl Replicate {
    /// A provider with this token. Nothing is sent until it is asked.
    pub fn builder(api_token: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_token)
    }

    /// The version of a model that is named with one.
    fn version(&self) -> Option<&str> {
        self.0.model.split_once(':').map(|(_, version)| version)
    }

    /// Asks how a prediction stands until it has ended. Asking is free and the prediction is not, so a poll that fails is
    /// repeated a few times before the prediction is given up.
    async fn follow(&self, created: Response, estimate: u64) -> Result<Response, ProviderError> {
        let (mut response, mut pause, mut failures) = (created, FIRST_PAUSE, 0);
        while response.is_success() && matches!(response.text("/status"), Some("starting" | "processing")) {
            let id = response.text("/id").filter(|id| is_id(id)).ok_or_else(|| {
                ProviderError::unusable(Unusable::Malformed, Some(estimate)).with_status(response.status)
            })?;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            let polled = Http::send(self.0.http.get(&format!("predictions/{id}")), estimate).await;
            let failed = match polled {
                Ok(polled) if polled.is_success() => {
                    (response, failures) = (polled, 0);
                    continue;
                }
                Ok(polled) => Self::refused(&polled),
                Err(error) => error,
            };
            failures += 1;
            if failures > MAX_FAILED_POLLS || !failed.is_transient() {
                // The prediction goes on and is billed, whatever became of the question after it.
                return Err(ProviderError { cost_micros: Some(estimate), ..failed });
            }
            pause = failed.retry_after.unwrap_or(pause).max(FIRST_PAUSE);
        }
        Ok(response)
    }
}

#[async_trait]
impl Vendor for Replicate {
    const MODEL: &'static str = "anthropic/claude-4.5-haiku";
    const NAME: &'static str = "replicate";
    const BASE_URL: &'static str = "https://api.replicate.com";
    const VERSION: Version = Version::Always;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        bearer(api_key)
    }

    /// `owner/name` or `owner/name:version`, because they become parts of a path.
    fn check_model(model: &str) -> Result<(), ConfigError> {
        let (name, version) =
            model.split_once(':').map_or((model, None), |(name, version)| (name, Some(version)));
        let (owner, name) = name.split_once('/').ok_or(ConfigError::Model)?;
        let is_named = [owner, name, version.unwrap_or("v")].into_iter().all(is_word);
        if is_named { Ok(()) } else { Err(ConfigError::Model) }
    }

    fn of(client: Client) -> Self {
        Self(client)
    }

    fn client(&self) -> &Client {
        &self.0
    }

    fn path(&self) -> String {
        match self.version() {
            Some(_) => "predictions".to_owned(),
            None => format!("models/{}/predictions", self.0.model),
        }
    }

    fn body(&self, request: &Request, feasible: TypeSet) -> Value {
        let mut input = Map::new();
        input.insert("prompt".to_owned(), question::turn(request, feasible).into());
        input.insert("system_prompt".to_owned(), question::INSTRUCTIONS.into());
        input.extend(self.0.terms.sampling());
        match self.version() {
            Some(version) => json!({"version": version, "input": input}),
            None => json!({"input": input}),
        }
    }

    async fn ask(
        &self,
        request: &Request,
        feasible: TypeSet,
        timeout: Duration,
        estimate: u64,
    ) -> Result<Response, ProviderError> {
        let wait = timeout.as_secs().clamp(1, MAX_WAIT_SECONDS);
        let cancel = timeout.as_secs().saturating_add(1).clamp(MIN_CANCEL_SECONDS, MAX_CANCEL_SECONDS);
        let call = self.0.http.post(&self.path());
        let call = call.header("prefer", format!("wait={wait}")).header("cancel-after", format!("{cancel}s"));
        let created = Http::send(call.json(&self.body(request, feasible)), estimate).await?;
        self.follow(created, estimate).await
    }

    fn refused(response: &Response) -> ProviderError {
        response.error(kind_of(response.status), &[], response.text("/id"))
    }

    fn usage(body: &Value) -> Option<Usage> {
        let tokens = |name: &str| body["metrics"][name].as_u64();
        Some(Usage {
            input: tokens("input_token_count")?,
            output: tokens("output_token_count")?,
            ..Usage::default()
        })
    }

    fn read(response: &Response, cost_micros: u64, estimate: u64) -> Result<Answer, ProviderError> {
        let id = response.text("/id");
        let ended = |kind, cost_micros| {
            let error = response.error(kind, &[response.text("/status")], id);
            Err(ProviderError { cost_micros, ..error })
        };
        match response.text("/status") {
            Some("succeeded") => {
                let answer = match output(&response.body["output"]) {
                    Some(text) if !text.trim().is_empty() => Answer::from_text(&text, cost_micros),
                    _ => Err(Unusable::Missing),
                };
                response.priced(answer, cost_micros, id)
            }
            Some("failed") if is_refusal(response.text("/error").unwrap_or_default()) => {
                response.priced(Err(Unusable::Refusal), cost_micros, id)
            }
            Some("failed") => ended(ProviderErrorKind::Server, None),
            // Past its deadline while it was running: it is billed, and nobody says for how much.
            Some("canceled") => ended(ProviderErrorKind::Timeout, Some(estimate)),
            // Past its deadline before it began: there was no room for it.
            Some("aborted") => ended(ProviderErrorKind::Overloaded, Some(0)),
            _ => response.priced(Err(Unusable::Malformed), cost_micros, id),
        }
    }
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

/// Whether a text can be one part of a path.
fn is_word(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !word.is_empty() && word.bytes().all(fits) && word.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a prediction's id can be one part of a path.
fn is_id(id: &str) -> bool {
    id.len() <= 64 && is_word(id)
}
