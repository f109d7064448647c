//! What tells one provider from another, and the one way in which all of them are asked.
//!
//! A vendor says where its API is, how a question is put there, and what its responses mean. The deadline, the estimate,
//! the price and the order in which a response is judged are the same for all and stand here once.

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

/// One vendor's API.
#[async_trait]
pub trait Vendor: Debug + Send + Sync + Sized {
    /// Its name.
    const NAME: &'static str;
    /// Its public base URL.
    const BASE_URL: &'static str;
    /// The model that is asked unless another is named: quick and cheap, for classification is no riddle.
    const MODEL: &'static str;
    /// How a base URL is completed.
    const VERSION: Version;

    /// The header lines of every call.
    fn headers(api_key: &SecretString) -> Result<HeaderMap, ConfigError>;

    /// Whether a model can be named so.
    fn check_model(_model: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The provider of this model.
    fn of(client: Client) -> Self;

    /// The model.
    fn client(&self) -> &Client;

    /// Where a question goes, below the base URL.
    fn path(&self) -> String;

    /// A question as it is sent.
    fn body(&self, request: &Request, feasible: TypeSet) -> Value;

    /// Makes the one paid call. `estimate` is what it is reckoned at when nobody says what it cost.
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

    /// What an error response means.
    fn refused(response: &Response) -> ProviderError;

    /// How many tokens a successful response says that it took.
    fn usage(body: &Value) -> Option<Usage>;

    /// The answer in a successful response. `billed` is its cost by its usage, where it states one.
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
        if !response.is_success() {
            return Err(self.client().http.without_secrets(V::refused(&response)));
        }
        let usage = V::usage(&response.body);
        let billed = usage.map(|usage| self.client().terms.cost(usage));
        let tokens = usage.map(Usage::tokens);
        match V::read(&response, billed, estimate) {
            Ok(answer) => Ok(Answer { tokens, ..answer }),
            Err(error) => {
                // An error under a successful status is a failure of its own kind, and free unless
                // the response says that tokens were used.
                let fault = if hides_fault(error.kind) { response.fault() } else { None };
                let error = fault.map_or(error, |fault| ProviderError { cost_micros: billed, ..fault });
                Err(self.client().http.without_secrets(ProviderError { tokens, ..error }))
            }
        }
    }
}

/// Whether an answer can be unusable because the body describes an error. A refusal is an answer.
const fn hides_fault(kind: ProviderErrorKind) -> bool {
    matches!(kind, ProviderErrorKind::Unusable(reason) if !matches!(reason, Unusable::Refusal))
}
