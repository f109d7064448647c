//! Chat completions (`POST …/chat/completions`), by OpenAI and the many that speak the same.
//!
//! The answer is held to a JSON schema by `response_format`. Servers differ in what they make of that, so the answer is
//! also found in a forced function's arguments and in text with a fence around it.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::builder::{ProviderBuilder, Vendor};
use super::error::{ProviderError, ProviderErrorKind};
use super::http::{Http, Response, Version, kind_of, secret_header, within};
use super::terms::{Structure, Terms, Usage};
use super::{Provider, question};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

const NAME: &str = "openai";

/// A model behind OpenAI's API or one that is compatible with it.
///
/// ```
/// use picarcade_intent::{OpenAi, Provider};
/// use secrecy::SecretString;
///
/// let local = OpenAi::builder(SecretString::from("unused"))
///     .base_url("http://127.0.0.1:8000/v1")
///     .model("qwen3-8b")
///     .build()?;
/// assert_eq!(local.model(), "qwen3-8b");
/// # Ok::<(), picarcade_intent::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: Http,
    model: String,
    terms: Terms,
}

impl OpenAi {
    /// A provider with this key. Nothing is sent until it is asked.
    pub fn builder(api_key: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_key)
    }

    fn body(&self, request: &Request, feasible: TypeSet) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": [
                {"role": "system", "content": question::INSTRUCTIONS},
                {"role": "user", "content": question::turn(request, feasible)},
            ],
            self.terms.output_limit.as_str(): self.terms.max_output_tokens,
        });
        let Some(fields) = body.as_object_mut() else { return body };
        if self.terms.structure != Structure::Text {
            let schema = json!({"name": question::NAME, "strict": true, "schema": question::schema()});
            fields
                .insert("response_format".to_owned(), json!({"type": "json_schema", "json_schema": schema}));
        }
        if self.terms.temperature {
            fields.insert("temperature".to_owned(), 0.into());
        }
        if let Some(effort) = &self.terms.effort {
            fields.insert("reasoning_effort".to_owned(), effort.as_str().into());
        }
        body
    }

    fn read(&self, response: &Response, estimate: u64) -> Result<Answer, ProviderError> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let cost = usage(&response.body).map_or(estimate, |usage| self.terms.cost(usage));
        let has_refusal =
            response.text("/choices/0/message/refusal").is_some_and(|refusal| !refusal.is_empty());
        let answer = match response.text("/choices/0/finish_reason") {
            _ if has_refusal => Err(Unusable::Refusal),
            Some("content_filter") => Err(Unusable::Refusal),
            Some("length") => Err(Unusable::Truncated),
            _ if response.body.pointer("/choices/0/message").is_none() => Err(Unusable::Malformed),
            _ => {
                let text = response.text("/choices/0/message/content").filter(|text| !text.is_empty());
                let text =
                    text.or_else(|| response.text("/choices/0/message/tool_calls/0/function/arguments"));
                text.map_or(Err(Unusable::Missing), |text| Answer::from_text(text, cost))
            }
        };
        response.priced(answer, cost, response.header("x-request-id"))
    }
}

#[async_trait]
impl Provider for OpenAi {
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
        let call = self.http.post("chat/completions").json(&self.body(request, feasible));
        let estimate = self.estimate_micros(request);
        let response = within(timeout, Http::send(call, estimate)).await?;
        self.read(&response, estimate)
    }
}

impl Vendor for OpenAi {
    const MODEL: &'static str = "gpt-5.6-luna";
    const NAME: &'static str = NAME;
    const BASE_URL: &'static str = "https://api.openai.com/v1";
    const VERSION: Version = Version::OnlyWithoutPath;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        Ok(HeaderMap::from_iter([(AUTHORIZATION, secret_header("Bearer ", api_key)?)]))
    }

    fn assemble(http: Http, model: String, terms: Terms) -> Self {
        Self { http, model, terms }
    }
}

/// What an error response means. Money that is used up comes as 429 as well, and only the code tells.
fn refused(response: &Response) -> ProviderError {
    const SPENT: [&str; 6] = [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "organization_usage_limit_exceeded",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
    ];
    let (kind, code) = (response.text("/error/type"), response.text("/error/code"));
    let is_spent = [kind, code].iter().flatten().any(|word| SPENT.contains(word));
    let means = match code {
        _ if is_spent => ProviderErrorKind::SpendLimit,
        Some("invalid_api_key" | "model_not_found") => ProviderErrorKind::Auth,
        Some("rate_limit_exceeded") => ProviderErrorKind::RateLimited,
        _ => kind_of(response.status),
    };
    let error = response.error(means, &[kind, code], response.header("x-request-id"));
    if is_spent { ProviderError { retry_after: None, ..error } } else { error }
}

fn usage(body: &Value) -> Option<Usage> {
    let usage = body.get("usage")?;
    let prompt = usage["prompt_tokens"].as_u64()?;
    let cache_read =
        usage.pointer("/prompt_tokens_details/cached_tokens").and_then(Value::as_u64).unwrap_or_default();
    Some(Usage {
        input: prompt.saturating_sub(cache_read),
        cache_write: 0,
        cache_read: cache_read.min(prompt),
        output: usage["completion_tokens"].as_u64()?,
    })
}
