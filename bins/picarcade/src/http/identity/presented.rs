//! The checked credentials of a request, and the caller that follows from them.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{Authority, Caller, FieldProblem, FlowRequest, UserId};

use super::user_id::{KEY_PREFIX, is_reserved};
use crate::http::problem::Problem;

const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// The checked credentials of a request, with the end user that its header fields name.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    credential: Credential,
    user: HeaderUser,
}

/// The value of `x-user-id`.
#[derive(Clone, Debug)]
enum HeaderUser {
    Absent,
    Named(UserId),
    /// The value is no user id.
    Unusable,
}

/// What authenticated a request.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// No identity is configured, so every caller has this authority.
    Open(Authority),
    Key(KeyHolder),
    /// The token of this end user.
    Token(UserId),
}

/// The holder of an API key.
#[derive(Clone, Debug)]
pub(super) struct KeyHolder {
    /// The name of the key.
    pub(super) name: Arc<str>,
    /// The user of a request that names none.
    pub(super) user: UserId,
}

impl Presented {
    pub(super) fn new(credential: Credential, headers: &HeaderMap) -> Self {
        let user = headers.get(&X_USER_ID).map_or(HeaderUser::Absent, |value| {
            user_of(value).map_or(HeaderUser::Unusable, HeaderUser::Named)
        });
        Self { credential, user }
    }

    /// Returns whether the header fields decide who the end user is, so that no body can name
    /// another.
    pub(crate) const fn fixes_user(&self) -> bool {
        matches!(self.credential, Credential::Token(_)) || !matches!(self.user, HeaderUser::Absent)
    }

    /// Returns the caller. The user comes from the token, else from `x-user-id`, else from `named`,
    /// which is the user that a body or a query names, else from the key itself.
    pub(crate) fn caller(
        &self,
        named: Option<&UserId>,
        endpoint: impl Into<Cow<'static, str>>,
    ) -> Result<Caller, Problem> {
        self.caller_of(named.map(UserId::as_str), || named.cloned(), endpoint.into())
    }

    /// Returns the caller of a request that the flow has not validated yet. A text in it that is no
    /// user id names no user: the flow refuses the request and names all of its wrong fields.
    pub(crate) fn caller_of_request(
        &self,
        request: &FlowRequest,
        endpoint: impl Into<Cow<'static, str>>,
    ) -> Result<Caller, Problem> {
        let named = request.user_id.as_deref();
        self.caller_of(named, || named?.parse().ok(), endpoint.into())
    }

    fn caller_of(
        &self,
        named: Option<&str>,
        named_user: impl FnOnce() -> Option<UserId>,
        endpoint: Cow<'static, str>,
    ) -> Result<Caller, Problem> {
        // The header field is checked even if a token decides who the user is.
        let header = match &self.user {
            HeaderUser::Absent => None,
            HeaderUser::Named(user) => Some(user),
            HeaderUser::Unusable => {
                let detail = "the header is not a usable user id";
                return Err(Problem::fields(vec![FieldProblem::new("/x-user-id", detail)]));
            }
        };
        let own = match &self.credential {
            Credential::Open(_) => None,
            Credential::Key(KeyHolder { user, .. }) | Credential::Token(user) => Some(user),
        };
        let is_own = |user: &str| own.is_some_and(|own| own.as_str() == user);
        for (pointer, user) in [("/x-user-id", header.map(UserId::as_str)), ("/user_id", named)] {
            // A caller may repeat the id that the service gave it.
            if user.is_some_and(|user| is_reserved(user) && !is_own(user)) {
                let detail = format!("user ids that begin with {KEY_PREFIX} are reserved");
                return Err(Problem::fields(vec![FieldProblem::new(pointer, detail)]));
            }
        }
        let stated = || header.cloned().or_else(named_user).or_else(|| own.cloned());
        let (user, api_key, authority) = match &self.credential {
            Credential::Token(_) if named.is_some_and(|named| !is_own(named)) => {
                return Err(Problem::new(StatusCode::FORBIDDEN, "the token is another user's"));
            }
            Credential::Token(user) => (Some(user.clone()), None, Authority::EndUser),
            Credential::Key(holder) => (stated(), Some(Arc::clone(&holder.name)), Authority::Operator),
            Credential::Open(authority) => (stated(), None, *authority),
        };
        let caller = Caller::user(user.unwrap_or_else(UserId::anonymous));
        Ok(Caller { api_key, authority, ..caller.at(endpoint) })
    }
}

/// Returns the user id in `x-user-id`.
fn user_of(value: &HeaderValue) -> Option<UserId> {
    std::str::from_utf8(value.as_bytes()).ok()?.trim().parse().ok()
}
