//! Anthropic Messages (`POST /v1/messages`, version 2023-06-01).
//!
//! The instructions are one system block with a cache mark, so that calls after the first read them at a tenth of the
//! price where the model caches texts of that length. The answer is held to its form by a forced tool, or by a JSON schema
//! (`output_config`) for models that think by themselves and therefore take no forced tool.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
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

const NAME: &str = "anthropic";
const API_VERSION: &str = "2023-06-01";

/// A Claude model behind Anthropic's API.
///
/// ```
/// use picarcade_intent::{Anthropic, Provider};
/// use secrecy::SecretString;
///
/// let claude = Anthropic::builder(SecretString::from("sk-ant-secret")).build()?;
/// assert_eq!(claude.name(), "anthropic");
/// assert!(!format!("{claude:?}").contains("sk-ant"));
/// # Ok::<(), picarcade_intent::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Anthropic {
    http: Http,
    model: String,
    terms: Terms,
}

impl Anthropic {
    /// A provider with this key. Nothing is sent until it is asked.
    pub fn builder(api_key: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_key)
    }

    fn body(&self, request: &Request, feasible: TypeSet) -> Value {
        let mut body = json!({
            "model": self.model,
            "max_tokens": self.terms.max_output_tokens,
            "system": [{
                "type": "text",
                "text": question::INSTRUCTIONS,
                "cache_control": {"type": "ephemeral"},
            }],
            "messages": [{"role": "user", "content": question::turn(request, feasible)}],
        });
        let structured = match self.terms.structure {
            Structure::Tool => vec![
                (
                    "tools",
                    json!([{
                        "name": question::NAME,
                        "description": "Records the classification of the request.",
                        "input_schema": question::schema(),
                    }]),
                ),
                (
                    "tool_choice",
                    json!({"type": "tool", "name": question::NAME, "disable_parallel_tool_use": true}),
                ),
            ],
            Structure::Schema => {
                let mut output = json!({"format": {"type": "json_schema", "schema": question::schema()}});
                if let Some(effort) = &self.terms.effort {
                    output["effort"] = effort.as_str().into();
                }
                vec![("output_config", output)]
            }
            Structure::Text => Vec::new(),
        };
        if let Some(fields) = body.as_object_mut() {
            fields.extend(structured.into_iter().map(|(name, value)| (name.to_owned(), value)));
            if self.terms.temperature {
                fields.insert("temperature".to_owned(), 0.into());
            }
        }
        body
    }

    fn read(&self, response: &Response, estimate: u64) -> Result<Answer, ProviderError> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let cost = usage(&response.body).map_or(estimate, |usage| self.terms.cost(usage));
        let blocks = response.body["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Only one tool was offered, so its name says nothing.
        let tool = blocks.iter().find(|block| block["type"] == "tool_use");
        let answer = match response.text("/stop_reason") {
            Some("refusal") => Err(Unusable::Refusal),
            Some("max_tokens" | "model_context_window_exceeded") => Err(Unusable::Truncated),
            None => Err(Unusable::Malformed),
            Some(_) => {
                if let Some(tool) = tool {
                    Answer::from_json(tool["input"].clone(), cost)
                } else {
                    let texts = blocks.iter().filter(|block| block["type"] == "text");
                    let text: String = texts.filter_map(|block| block["text"].as_str()).collect();
                    if text.is_empty() { Err(Unusable::Missing) } else { Answer::from_text(&text, cost) }
                }
            }
        };
        response.priced(answer, cost, request_id(response))
    }
}

#[async_trait]
impl Provider for Anthropic {
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
        let call = self.http.post("messages").json(&self.body(request, feasible));
        let estimate = self.estimate_micros(request);
        let response = within(timeout, Http::send(call, estimate)).await?;
        self.read(&response, estimate)
    }
}

impl Vendor for Anthropic {
    const MODEL: &'static str = "claude-haiku-5-5";
    const NAME: &'static str = NAME;
    const BASE_URL: &'static str = "https://api.anthropic.com";
    const VERSION: Version = Version::Always;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        Ok(HeaderMap::from_iter([
            (HeaderName::from_static("x-api-key"), secret_header("", api_key)?),
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
        ]))
    }

    fn assemble(http: Http, model: String, terms: Terms) -> Self {
        Self { http, model, terms }
    }
}

/// What an error response means. Some limits on spending come as 429 and some as 400, and none of them passes by waiting.
fn refused(response: &Response) -> ProviderError {
    let (kind, code) = (response.text("/error/type"), response.text("/error/details/error_code"));
    let message = response.text("/error/message").unwrap_or_default();
    let is_spent = kind == Some("billing_error")
        || code == Some("enforced_spend_limit_reached")
        || message.starts_with("You have reached your specified")
        || message.contains("credit balance is too low")
        || (response.status == 429 && response.header("x-should-retry") == Some("false"));
    let means = match kind {
        _ if is_spent => ProviderErrorKind::SpendLimit,
        Some("authentication_error" | "permission_error" | "not_found_error") => ProviderErrorKind::Auth,
        Some("rate_limit_error") => ProviderErrorKind::RateLimited,
        Some("overloaded_error") => ProviderErrorKind::Overloaded,
        Some("timeout_error") => ProviderErrorKind::Timeout,
        Some("invalid_request_error" | "request_too_large") => ProviderErrorKind::Rejected,
        Some("api_error") => ProviderErrorKind::Server,
        _ => kind_of(response.status),
    };
    let error = response.error(means, &[kind, code], request_id(response));
    // What is spent is not there again after a few seconds, whatever a gateway in between says.
    if is_spent { ProviderError { retry_after: None, ..error } } else { error }
}

fn request_id(response: &Response) -> Option<&str> {
    response.header("request-id").or_else(|| response.text("/request_id"))
}

fn usage(body: &Value) -> Option<Usage> {
    let usage = body.get("usage")?;
    let tokens = |name: &str| usage[name].as_u64().unwrap_or_default();
    Some(Usage {
        input: usage["input_tokens"].as_u64()?,
        cache_write: tokens("cache_creation_input_tokens"),
        cache_read: tokens("cache_read_input_tokens"),
        output: usage["output_tokens"].as_u64()?,
    })
}
