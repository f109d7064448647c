//! The differences between vendors, and the one call that all of them share.
//!
//! A vendor defines the place of its API, the form of a question, and the meaning of its responses.
//! The deadline, the estimate, the cost and the order in which a response is judged are the same
//! for all and defined here once.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::Value;

use super::error::{ProviderError, ProviderErrorKind};
use super::http::{Http, Response, Version, within};
use super::interface::Provider;
use super::question;
use super::terms::{Terms, Usage};
use crate::answer::{Answer, Unusable};
use crate::error::ConfigError;
use crate::request::Request;
use crate::type_set::TypeSet;

/// A model behind an API.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) http: Http,
    pub(super) model: String,
    pub(super) terms: Terms,
}

/// The API of one vendor.
#[async_trait]
pub trait Vendor: Debug + Send + Sync + Sized {
    /// The name.
    const NAME: &'static str;
    /// The environment variable in which the vendor's own tools expect the key.
    const KEY_VARIABLE: &'static str;
    /// The public base URL.
    const BASE_URL: &'static str;
    /// The default model: fast and cheap, because classification is easy.
    const MODEL: &'static str;
    /// How a base URL is completed.
    const VERSION: Version;

    /// Returns the headers of every call.
    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError>;

    /// Checks the name of a model.
    fn check_model(_model: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Creates the provider of this model.
    fn of(client: Client) -> Self;

    /// Returns the client of the model.
    fn client(&self) -> &Client;

    /// Returns the path of a call below the base URL.
    fn path(&self) -> String;

    /// Returns the body of a call.
    fn body(&self, request: &Request, feasible: TypeSet) -> Value;

    /// Makes the one paid call. `estimate` is its cost if the response does not state one.
    async fn ask(
        &self,
        request: &Request,
        feasible: TypeSet,
        _timeout: Duration,
        estimate: u64,
    ) -> Result<Response, ProviderError> {
        let call = self.client().http.post(&self.path()).json(&self.body(request, feasible));
        Http::send(call, estimate).await
    }

    /// Returns the meaning of an error response.
    fn refused(response: &Response) -> ProviderError;

    /// Returns the tokens that a successful response states.
    fn usage(body: &Value) -> Option<Usage>;

    /// Reads the answer in a successful response. `billed` is its cost by its usage, if it states
    /// one.
    fn read(response: &Response, billed: Option<u64>, estimate: u64) -> Result<Answer, ProviderError>;
}

#[async_trait]
impl<V: Vendor> Provider for V {
    fn name(&self) -> &str {
        V::NAME
    }

    fn model(&self) -> &str {
        &self.client().model
    }

    fn estimate_micros(&self, request: &Request) -> u64 {
        question::estimate(&self.client().terms, request)
    }

    async fn classify(
        &self,
        request: &Request,
        feasible: TypeSet,
        timeout: Duration,
    ) -> Result<Answer, ProviderError> {
        let estimate = self.estimate_micros(request);
        let response = within(timeout, self.ask(request, feasible, timeout, estimate)).await?;
        let described = |error| {
            let error = response.with_message(error, request.prompt.as_str());
            self.client().http.without_secrets(error)
        };
        if !response.is_success() {
            return Err(described(V::refused(&response)));
        }
        let usage = V::usage(&response.body);
        let billed = usage.map(|usage| self.client().terms.cost(usage));
        let tokens = usage.map(Usage::tokens);
        match V::read(&response, billed, estimate) {
            Ok(answer) => Ok(Answer { tokens, ..answer }),
            Err(error) => {
                // An error under a successful status has a kind of its own. It is free unless the
                // response states that tokens were used.
                let fault = if hides_fault(error.kind) { response.fault() } else { None };
                let error = match fault {
                    Some(fault) => described(ProviderError { cost_micros: billed, ..fault }),
                    None => self.client().http.without_secrets(error),
                };
                Err(ProviderError { tokens, ..error })
            }
        }
    }
}

/// Returns whether an error in the body can be the reason why an answer is unusable. A refusal is
/// an answer.
const fn hides_fault(kind: ProviderErrorKind) -> bool {
    matches!(kind, ProviderErrorKind::Unusable(reason) if !matches!(reason, Unusable::Refusal))
}
