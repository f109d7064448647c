//! Chat completions (`POST …/chat/completions`) by OpenAI and compatible servers.
//!
//! `response_format` with a JSON schema determines the format of the answer. Servers interpret it
//! differently, so the answer is also found in the arguments of a forced function and in text with
//! a code fence.

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::builder::ProviderBuilder;
use super::content;
use super::count::{count, optional};
use super::error::{ProviderError, ProviderErrorKind};
use super::fault::kind_of;
use super::http::{Response, Version, bearer};
use super::question;
use super::terms::{Structure, Usage};
use super::vendor::{Client, Vendor};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

/// A model behind the API of OpenAI or a compatible one.
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
pub struct OpenAi(Client);

impl OpenAi {
    /// Returns a builder with this key.
    pub fn builder(api_key: SecretString) -> ProviderBuilder<Self> {
        ProviderBuilder::new(api_key)
    }
}

impl Vendor for OpenAi {
    const MODEL: &'static str = "gpt-5.6-luna";
    const NAME: &'static str = "openai";
    const KEY_VARIABLE: &'static str = "OPENAI_API_KEY";
    const BASE_URL: &'static str = "https://api.openai.com/v1";
    const VERSION: Version = Version::OnlyWithoutPath;

    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError> {
        bearer(api_key)
    }

    fn of(client: Client) -> Self {
        Self(client)
    }

    fn client(&self) -> &Client {
        &self.0
    }

    fn path(&self) -> String {
        "chat/completions".to_owned()
    }

    fn model_path(&self) -> String {
        "models".to_owned()
    }

    fn body(&self, request: &Request, feasible: TypeSet) -> Value {
        let terms = &self.0.terms;
        let mut body = json!({
            "model": self.0.model,
            "messages": [
                {"role": "system", "content": question::INSTRUCTIONS},
                {"role": "user", "content": question::turn(request, feasible)},
            ],
        });
        let Some(fields) = body.as_object_mut() else { return body };
        fields.extend(terms.sampling());
        if terms.structure != Structure::Text {
            let schema = json!({"name": question::NAME, "strict": true, "schema": question::schema()});
            fields
                .insert("response_format".to_owned(), json!({"type": "json_schema", "json_schema": schema}));
        }
        if let Some(effort) = &terms.effort {
            fields.insert("reasoning_effort".to_owned(), effort.as_str().into());
        }
        body
    }

    /// A spend limit arrives as status 429 too, and only the code distinguishes it.
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
        response.error(means, &[kind, code], response.header("x-request-id"))
    }

    /// Tokens that were read from the prompt cache or written to it are part of the prompt tokens,
    /// but have prices of their own.
    fn usage(body: &Value) -> Option<Usage> {
        let usage = body.get("usage")?;
        let prompt = count(&usage["prompt_tokens"])?;
        let part = |name: &str| optional(&usage["prompt_tokens_details"][name]);
        let cache_read = part("cached_tokens")?.min(prompt);
        let cache_write = part("cache_write_tokens")?.min(prompt - cache_read);
        Some(Usage {
            input: prompt - cache_read - cache_write,
            cache_write,
            cache_read,
            output: count(&usage["completion_tokens"])?,
        })
    }

    fn read(response: &Response, billed: Option<u64>, estimate: u64) -> Result<Answer, ProviderError> {
        let cost_micros = billed.unwrap_or(estimate);
        let message = &response.body["choices"][0]["message"];
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        let arguments = calls.iter().map(|call| &call["function"]["arguments"]);
        // Some servers send the content as an object instead of a text.
        let parsed = Some(&message["content"]).filter(|content| content.is_object());
        let text = content::text(&message["content"]);
        let answer = match content::stopped(response.text("/choices/0/finish_reason")) {
            Some(reason) => Err(reason),
            None if content::is_refused(message) => Err(Unusable::Refusal),
            None if message.is_null() => Err(Unusable::Malformed),
            None => content::answer(parsed.into_iter().chain(arguments), &text, cost_micros),
        };
        response.priced(answer, cost_micros, response.header("x-request-id"))
    }
}
