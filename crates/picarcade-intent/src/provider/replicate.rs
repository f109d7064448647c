//! Replicate predictions.
//!
//! Creating a prediction with `Prefer: wait` usually returns it finished. Otherwise it is polled
//! until the deadline. A prediction that still runs then is canceled. `Cancel-After` also states
//! the deadline to Replicate, so that no work continues, and costs, without a caller. Text models
//! there accept no schema, so only the instructions ask for JSON. Polls and cancellations go to the
//! configured base URL and never to a URL from a response, because they carry the token.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::builder::{ProviderBuilder, READ_TIMEOUT};
use super::content;
use super::count::count;
use super::error::{ProviderError, ProviderErrorKind};
use super::fault::{kind_in, kind_of};
use super::http::{Http, Response, Version, bearer, within};
use super::question;
use super::terms::Usage;
use super::vendor::{Client, Vendor};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

/// The maximum time for which Replicate is asked to hold a creating request, in seconds. It sends
/// nothing in that time, which must not exceed the read time-out. Its own maximum is 60.
const MAX_WAIT_SECONDS: u64 = READ_TIMEOUT.as_secs() * 3 / 4;

/// The shortest deadline that Replicate accepts, in seconds.
const MIN_CANCEL_SECONDS: u64 = 5;

/// The longest deadline that is stated, in seconds: a prediction runs for half an hour at most.
const MAX_CANCEL_SECONDS: u64 = 60 * 60;

/// The pause before the first poll. It doubles for each further poll up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between polls.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The maximum pause that a failed poll may request.
const MAX_FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// The time-out of the first poll. It doubles after each poll that is too slow, so that one lost
/// response does not use up the deadline of the call.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// The time-out of a cancellation.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A language model at Replicate.
///
/// ```
/// use picarcade_intent::{ConfigError, Replicate};
/// use secrecy::SecretString;
///
/// let token = SecretString::from("r8_secret");
/// let builder = Replicate::builder(token.clone());
/// assert!(builder.model("meta/meta-llama-3-70b-instruct").build().is_ok());
/// assert_eq!(Replicate::builder(token).model("llama").build().unwrap_err(), ConfigError::Model);
/// ```
#[derive(Debug, Clone)]
pub struct Replicate(Client);

impl Replicate {
    /// Returns a builder with this token.
    pub fn builder(api_token: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_token)
    }

    /// Returns the version of a model that is named with one.
    fn version(&self) -> Option<&str> {
        self.0.model.split_once(':').map(|(_, version)| version)
    }

    /// Polls a prediction until it has ended.
    ///
    /// The prediction is paid for and a poll is free, so no failed poll abandons the prediction.
    /// Only the deadline of the call does, and then the prediction is canceled.
    async fn follow(&self, created: Response, estimate: u64) -> Result<Response, ProviderError> {
        if !created.is_success() || State::of(&created) != Some(State::Running) {
            return Ok(created);
        }
        let id = created.text("/id").filter(|id| is_id(id)).ok_or_else(|| {
            ProviderError::unusable(Unusable::Malformed, Some(estimate)).with_status(created.status)
        })?;
        let mut running = Running { prediction: Some((self.0.http.clone(), id.to_owned())) };
        let (mut pause, mut timeout) = (FIRST_PAUSE, POLL_TIMEOUT);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            let poll = Http::send(self.0.http.get(&format!("predictions/{id}")), estimate);
            match within(timeout, poll).await {
                Ok(polled) if polled.is_success() && polled.text("/id").is_none_or(|polled| polled == id) => {
                    if State::of(&polled) == Some(State::Ended) {
                        running.prediction = None;
                        return Ok(polled);
                    }
                }
                Ok(failed) => {
                    let stated = failed.retry_after().unwrap_or(pause);
                    pause = stated.clamp(FIRST_PAUSE, MAX_FAILURE_PAUSE);
                }
                // A prediction that is too large stays too large in every further poll.
                Err(error) if error.kind == ProviderErrorKind::Unusable(Unusable::TooLarge) => {
                    return Err(error);
                }
                Err(error) if error.kind == ProviderErrorKind::Timeout => {
                    timeout = timeout.saturating_mul(2);
                }
                Err(_) => {}
            }
        }
    }
}

/// Whether a prediction still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended,
}

impl State {
    /// Returns the state that a response names; `None` if the response is no prediction.
    fn of(response: &Response) -> Option<Self> {
        match response.text("/status")? {
            "starting" | "processing" | "queued" => Some(Self::Running),
            "succeeded" | "failed" | "canceled" | "aborted" => Some(Self::Ended),
            _ => None,
        }
    }
}

/// A prediction that is canceled if the call ends first, at its deadline or because its caller
/// left.
///
/// The cancellation is not awaited. If it fails, the `Cancel-After` of the prediction ends it.
struct Running {
    prediction: Option<(Http, String)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some((http, id)) = self.prediction.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let cancel = Http::send(http.post(&format!("predictions/{id}/cancel")), 0);
            if let Err(error) = within(CANCEL_TIMEOUT, cancel).await {
                tracing::debug!(%error, "a prediction could not be canceled");
            }
        });
    }
}

#[async_trait]
impl Vendor for Replicate {
    const MODEL: &'static str = "anthropic/claude-4.5-haiku";
    const NAME: &'static str = "replicate";
    const KEY_VARIABLE: &'static str = "REPLICATE_API_TOKEN";
    const BASE_URL: &'static str = "https://api.replicate.com";
    const VERSION: Version = Version::Always;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        bearer(api_key)
    }

    /// Accepts `owner/name` or `owner/name:version`, because they become parts of a path.
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

    fn model_path(&self) -> String {
        format!("models/{}", self.0.model.replacen(':', "/versions/", 1))
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
        // The response must arrive before the deadline, because a prediction is canceled by the id
        // in it.
        let wait = timeout.as_secs().saturating_sub(1).clamp(1, MAX_WAIT_SECONDS);
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
        let tokens = |name: &str| count(&body["metrics"][name]);
        Some(Usage {
            input: tokens("input_token_count")?,
            output: tokens("output_token_count")?,
            ..Usage::default()
        })
    }

    fn read(response: &Response, billed: Option<u64>, estimate: u64) -> Result<Answer, ProviderError> {
        let cost_micros = billed.unwrap_or(estimate);
        let id = response.text("/id");
        let ended = |kind, cost_micros| {
            let error = response.error(kind, &[response.text("/status")], id);
            Err(ProviderError { cost_micros, ..error })
        };
        match response.text("/status") {
            Some("succeeded") => {
                let output = &response.body["output"];
                let parsed = Some(output).filter(|output| output.is_object());
                let answer = content::answer(parsed.into_iter(), &text(output), cost_micros);
                response.priced(answer, cost_micros, id)
            }
            Some("failed") => {
                let error = &response.body["error"];
                let words = error.as_str().map_or_else(|| error.to_string(), ToOwned::to_owned);
                if is_refusal(&words) {
                    return response.priced(Err(Unusable::Refusal), cost_micros, id);
                }
                // Only the platform knows keys and money; a model that mentions them has failed.
                let is_possible =
                    |kind: &ProviderErrorKind| kind.is_transient() || *kind == ProviderErrorKind::Rejected;
                let kind = kind_in(&words).filter(is_possible);
                ended(kind.unwrap_or(ProviderErrorKind::Server), billed)
            }
            // It passed its deadline while it was running: it is billed, and its cost is unknown.
            Some("canceled") => ended(ProviderErrorKind::Timeout, Some(estimate)),
            // It passed its deadline before it began, because the platform had no capacity.
            Some("aborted") => ended(ProviderErrorKind::Overloaded, Some(0)),
            _ => response.priced(Err(Unusable::Malformed), cost_micros, id),
        }
    }
}

/// Returns the output of a text model: one text, or its pieces in order.
fn text(output: &Value) -> String {
    match output {
        Value::String(text) => text.clone(),
        Value::Array(pieces) => pieces.iter().map(Value::as_str).collect::<Option<_>>().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Returns whether the model or the platform decided not to answer.
fn is_refusal(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    ["sensitive", "nsfw", "safety", "content policy", "e005"].iter().any(|word| error.contains(word))
}

/// Returns whether a text can be one part of a path.
fn is_word(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !word.is_empty() && word.bytes().all(fits) && word.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Returns whether the id of a prediction can be one part of a path.
fn is_id(id: &str) -> bool {
    id.len() <= 64 && is_word(id)
}
