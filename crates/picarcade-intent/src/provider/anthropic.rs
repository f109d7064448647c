//! Anthropic Messages (`POST /v1/messages`, version 2023-06-01).
//!
//! The instructions are one system block with a cache mark. If the model caches texts of that
//! length, calls after the first read them at a tenth of the price. A forced tool determines the
//! format of the answer. Models that always reason accept no forced tool and get a JSON schema
//! (`output_config`).

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::builder::ProviderBuilder;
use super::content;
use super::count::{count, optional};
use super::error::{ProviderError, ProviderErrorKind};
use super::fault::kind_of;
use super::http::{Response, Version, secret_header};
use super::question;
use super::terms::{Structure, Usage};
use super::vendor::{Client, Vendor};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

const API_VERSION: &str = "2023-06-01";

/// A Claude model behind the API of Anthropic.
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
pub struct Anthropic(Client);

impl Anthropic {
    /// Returns a builder with this key.
    pub fn builder(api_key: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_key)
    }
}

impl Vendor for Anthropic {
    const MODEL: &'static str = "claude-haiku-5-5";
    const NAME: &'static str = "anthropic";
    const KEY_VARIABLE: &'static str = "ANTHROPIC_API_KEY";
    const BASE_URL: &'static str = "https://api.anthropic.com";
    const VERSION: Version = Version::Always;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        Ok(HeaderMap::from_iter([
            (HeaderName::from_static("x-api-key"), secret_header("", api_key)?),
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
        ]))
    }

    fn of(client: Client) -> Self {
        Self(client)
    }

    fn client(&self) -> &Client {
        &self.0
    }

    fn path(&self) -> String {
        "messages".to_owned()
    }

    fn model_path(&self) -> String {
        format!("models/{}", self.0.model)
    }

    fn body(&self, request: &Request, feasible: TypeSet) -> Value {
        let terms = &self.0.terms;
        let mut body = json!({
            "model": self.0.model,
            "system": [{
                "type": "text",
                "text": question::INSTRUCTIONS,
                "cache_control": {"type": "ephemeral"},
            }],
            "messages": [{"role": "user", "content": question::turn(request, feasible)}],
        });
        let Some(fields) = body.as_object_mut() else { return body };
        fields.extend(terms.sampling());
        match terms.structure {
            Structure::Tool => {
                let tool = json!({
                    "name": question::NAME,
                    "description": "Records the classification of the request.",
                    "input_schema": question::schema(),
                });
                let choice =
                    json!({"type": "tool", "name": question::NAME, "disable_parallel_tool_use": true});
                fields.insert("tools".to_owned(), json!([tool]));
                fields.insert("tool_choice".to_owned(), choice);
            }
            Structure::Schema => {
                let mut output = json!({"format": {"type": "json_schema", "schema": question::schema()}});
                if let Some(effort) = &terms.effort {
                    output["effort"] = effort.as_str().into();
                }
                fields.insert("output_config".to_owned(), output);
            }
            Structure::Text => {}
        }
        body
    }

    /// Some spend limits arrive as status 429 and some as 400. Waiting does not help in any of
    /// these cases.
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
        response.error(means, &[kind, code], request_id(response))
    }

    fn usage(body: &Value) -> Option<Usage> {
        let usage = body.get("usage")?;
        Some(Usage {
            input: count(&usage["input_tokens"])?,
            cache_write: optional(&usage["cache_creation_input_tokens"])?,
            cache_read: optional(&usage["cache_read_input_tokens"])?,
            output: count(&usage["output_tokens"])?,
        })
    }

    fn read(response: &Response, billed: Option<u64>, estimate: u64) -> Result<Answer, ProviderError> {
        let cost_micros = billed.unwrap_or(estimate);
        let blocks = response.body["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Only one tool was offered, so its name is not checked.
        let tools = blocks.iter().filter(|block| block["type"] == "tool_use").map(|block| &block["input"]);
        let text = content::text(&response.body["content"]);
        let answer = match content::stopped(response.text("/stop_reason")) {
            Some(reason) => Err(reason),
            None if response.body["content"].is_null() => Err(Unusable::Malformed),
            None => content::answer(tools, &text, cost_micros),
        };
        response.priced(answer, cost_micros, request_id(response))
    }
}

fn request_id(response: &Response) -> Option<&str> {
    response.header("request-id").or_else(|| response.text("/request_id"))
}
