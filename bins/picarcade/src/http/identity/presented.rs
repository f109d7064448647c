//! The checked credentials of a request, and the caller that follows from them.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{Authority, Caller, FieldProblem};

use super::user_id::{ANONYMOUS, KEY_PREFIX, is_reserved, is_usable};
use crate::http::problem::Problem;

const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// The checked credentials of a request, with the end user that its header fields name.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    credential: Credential,
    /// The value of `x-user-id`, not checked yet.
    user: Option<HeaderValue>,
}

/// What authenticated a request.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// No identity is configured, so every caller has this authority.
    Open(Authority),
    /// The API key of this name.
    Key(Arc<str>),
    /// The token of this end user.
    Token(Arc<str>),
}

impl Presented {
    pub(super) fn new(credential: Credential, headers: &HeaderMap) -> Self {
        Self { credential, user: headers.get(&X_USER_ID).cloned() }
    }

    /// Returns whether the header fields decide who the end user is, so that no body can name
    /// another.
    pub(crate) fn fixes_user(&self) -> bool {
        matches!(self.credential, Credential::Token(_)) || self.user.is_some()
    }

    /// Returns the caller. The user comes from the token, else from `x-user-id`, else from `named`,
    /// which is the user that a body or a query names, else from the key itself.
    pub(crate) fn caller(
        &self,
        named: Option<&str>,
        endpoint: impl Into<Cow<'static, str>>,
    ) -> Result<Caller, Problem> {
        let own: Arc<str> = match &self.credential {
            Credential::Open(_) => Arc::from(ANONYMOUS),
            Credential::Key(name) => Arc::from(format!("{KEY_PREFIX}{name}")),
            Credential::Token(user) => Arc::clone(user),
        };
        let header = self.user.as_ref().map(user_of).transpose()?;
        for (pointer, user) in [("/x-user-id", header), ("/user_id", named)] {
            // A caller may repeat the id that the service gave it.
            if user.is_some_and(|user| is_reserved(user) && *user != *own) {
                let detail = format!("user ids that begin with {KEY_PREFIX} are reserved");
                return Err(Problem::fields(vec![FieldProblem::new(pointer, detail)]));
            }
        }
        let is_token = matches!(self.credential, Credential::Token(_));
        if is_token && named.is_some_and(|named| *named != *own) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "the token is another user's"));
        }
        let user = match header.or(named) {
            Some(user) if !is_token => Arc::from(user),
            _ => own,
        };
        let (api_key, authority) = match &self.credential {
            Credential::Open(authority) => (None, *authority),
            Credential::Key(name) => (Some(Arc::clone(name)), Authority::Operator),
            Credential::Token(_) => (None, Authority::EndUser),
        };
        Ok(Caller { api_key, authority, ..Caller::user(user).at(endpoint) })
    }
}

/// Returns the user id in `x-user-id`. It is checked even if a token decides who the user is.
fn user_of(value: &HeaderValue) -> Result<&str, Problem> {
    let text = std::str::from_utf8(value.as_bytes()).ok().map(str::trim);
    text.filter(|text| is_usable(text)).ok_or_else(|| {
        Problem::fields(vec![FieldProblem::new("/x-user-id", "the header is not a usable user id")])
    })
}
