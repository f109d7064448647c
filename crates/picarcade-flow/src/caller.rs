//! The caller of a request, and its authority.

use std::borrow::Cow;
use std::sync::Arc;

use picarcade_ratelimit::Subjects;

use crate::id::UserId;
use crate::trace::Trace;

/// The authority of a caller over shared state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// An end user, whose reports on generations change no dollars and no breaker.
    #[default]
    EndUser,
    /// The operator of the service, such as the holder of an API key. Its reports on generations
    /// settle dollars and count for the breaker of the model's provider.
    Operator,
}

/// The authenticated caller of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The end user, part of the keys of limits, caches and tables.
    pub user: UserId,
    /// The name (never the secret) of the API key that was presented.
    pub api_key: Option<Arc<str>>,
    /// The authority of the caller over shared state.
    pub authority: Authority,
    /// The requested endpoint, for the limits of scope ENDPOINT.
    pub endpoint: Cow<'static, str>,
    /// The trace of the request, if there is one.
    pub trace: Option<Arc<dyn Trace>>,
    /// The id of the request, which is stored with its classification.
    pub request_id: Option<Arc<str>>,
}

impl Caller {
    /// Creates an end user without an API key, at the endpoint `process`.
    pub fn user(user: UserId) -> Self {
        Self {
            user,
            api_key: None,
            authority: Authority::EndUser,
            endpoint: Cow::Borrowed("process"),
            trace: None,
            request_id: None,
        }
    }

    /// Returns this caller with the authority of the operator.
    ///
    /// Grant it only to a caller that may change the dollars and the breakers of every user.
    #[must_use]
    pub fn operator(mut self) -> Self {
        self.authority = Authority::Operator;
        self
    }

    /// Returns the subjects of the caller, for the limits.
    pub(crate) fn subjects(&self) -> Subjects<'_> {
        let subjects = Subjects::default().user(self.user.as_str()).endpoint(&*self.endpoint);
        match &self.api_key {
            Some(name) => subjects.api_key(&**name),
            None => subjects,
        }
    }

    /// Returns this caller at another endpoint.
    #[must_use]
    pub fn at(mut self, endpoint: impl Into<Cow<'static, str>>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Returns this caller with a trace that receives the paid calls of the request.
    #[must_use]
    pub fn traced(mut self, trace: Option<Arc<dyn Trace>>) -> Self {
        self.trace = trace;
        self
    }

    /// Returns this caller with the id of its request.
    #[must_use]
    pub fn with_request_id(mut self, id: &str) -> Self {
        self.request_id = Some(Arc::from(id));
        self
    }
}
