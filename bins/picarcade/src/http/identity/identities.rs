//! Who asks: an API key, an end user's token, or anybody where the service is open.
//!
//! Keys are compared as BLAKE3 hashes in constant time, all of them each time, so that neither the content nor the number
//! of the matching key shows in the time. Identity headers count only from callers with a key, or where there are no keys.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{Authority, Caller, FieldProblem, MAX_ID_BYTES};
use secrecy::ExposeSecret;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::Identity;
use crate::http::identity::tokens::Tokens;
use crate::http::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// The user when nobody says who it is.
const ANONYMOUS: &str = "anonymous";

/// Begins the user id of a key that names no end user. Sessions, limits, caches and generations are
/// kept by user id, so no token and no caller may name a user that begins so.
const KEY_PREFIX: &str = "api-key:";

/// The keys, hashed.
#[derive(Debug)]
pub(crate) struct Identities {
    keys: Vec<(Arc<str>, [u8; 32])>,
    admin: Option<[u8; 32]>,
    tokens: Option<Tokens>,
    /// What a caller may change where no identity is configured.
    open: Authority,
}

/// Who presented which credentials.
#[derive(Clone, Debug)]
pub(crate) enum Presented {
    /// No identity is configured, so that every caller has this authority.
    Open(Authority),
    /// The holder of the API key of this name.
    Key(Arc<str>),
    /// The end user of a token.
    Token(Arc<str>),
}

impl Identities {
    /// Identities of a service that listens on loopback only, or on the network too. Without a
    /// configured identity, a caller on loopback is the operator; a caller from the network is not,
    /// because anybody can be one.
    pub(crate) fn new(identity: &Identity, is_loopback: bool) -> Result<Self, reqwest::Error> {
        let hash = |secret: &str| *blake3::hash(secret.as_bytes()).as_bytes();
        Ok(Self {
            keys: identity
                .api_keys
                .iter()
                .map(|key| (Arc::from(key.name.as_str()), hash(key.key.expose_secret())))
                .collect(),
            admin: identity.admin_token.as_ref().map(|token| hash(token.expose_secret())),
            tokens: identity.jwt.as_ref().map(Tokens::new).transpose()?,
            open: if is_loopback { Authority::Operator } else { Authority::EndUser },
        })
    }

    /// Checks the credentials of a request.
    pub(crate) async fn check(&self, headers: &HeaderMap) -> Result<Presented, Problem> {
        if self.keys.is_empty() && self.tokens.is_none() {
            return Ok(Presented::Open(self.open));
        }
        if let (Some(tokens), Some(bearer)) = (&self.tokens, bearer(headers)) {
            // An API key is no token unless somebody chose one with two dots in it.
            if self.keys.is_empty() || bearer.split(|byte| *byte == b'.').count() == 3 {
                return tokens.user(bearer).await.map(Presented::Token);
            }
        }
        let Some(secret) = api_key(headers) else {
            return Err(Problem::unauthorized("credentials are needed"));
        };
        let presented = *blake3::hash(secret).as_bytes();
        let mut found = Choice::from(0);
        let mut index = 0_u32;
        for (position, (_, hash)) in self.keys.iter().enumerate() {
            let equal = hash.ct_eq(&presented);
            index.conditional_assign(&(position as u32), equal);
            found |= equal;
        }
        match self.keys.get(index as usize) {
            Some((name, _)) if bool::from(found) => Ok(Presented::Key(Arc::clone(name))),
            _ => Err(Problem::unauthorized("the API key is not known")),
        }
    }

    /// Whether the admin token was presented; `None` when there is none to present.
    pub(crate) fn is_admin(&self, headers: &HeaderMap) -> Option<bool> {
        let admin = self.admin.as_ref()?;
        let presented = bearer(headers).map(|secret| *blake3::hash(secret).as_bytes());
        Some(presented.is_some_and(|hash| bool::from(admin.ct_eq(&hash))))
    }
}

impl Presented {
    /// Returns whether the header fields decide who the end user is, so that no body can name another.
    pub(crate) fn fixes_user(&self, headers: &HeaderMap) -> bool {
        matches!(self, Self::Token(_)) || headers.contains_key(&X_USER_ID)
    }

    /// Returns the caller: the user from the header, else from the body or the query, else the key
    /// itself.
    pub(crate) fn caller(
        &self,
        headers: &HeaderMap,
        named: Option<&str>,
        endpoint: impl Into<Cow<'static, str>>,
    ) -> Result<Caller, Problem> {
        let own: Arc<str> = match self {
            Self::Open(_) => Arc::from(ANONYMOUS),
            Self::Key(name) => Arc::from(format!("{KEY_PREFIX}{name}")),
            Self::Token(user) => Arc::clone(user),
        };
        // Looked at even where it does not count: what is wrong is wrong.
        let header = headers.get(&X_USER_ID).map(|value| {
            let text = std::str::from_utf8(value.as_bytes()).ok().map(str::trim);
            text.filter(|text| is_usable(text))
        });
        if header == Some(None) {
            return Err(Problem::fields(vec![FieldProblem::new(
                "/x-user-id",
                "the header is not a usable user id",
            )]));
        }
        for (pointer, user) in [("/x-user-id", header.flatten()), ("/user_id", named)] {
            // A caller may repeat the id that the service gave it.
            if user.is_some_and(|user| is_reserved(user) && *user != *own) {
                let detail = format!("user ids that begin with {KEY_PREFIX} are reserved");
                return Err(Problem::fields(vec![FieldProblem::new(pointer, detail)]));
            }
        }
        let is_token = matches!(self, Self::Token(_));
        if is_token && named.is_some_and(|named| *named != *own) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "the token is another user's"));
        }
        let user = match header.flatten().or(named) {
            Some(user) if !is_token => Arc::from(user),
            _ => own,
        };
        let (api_key, authority) = match self {
            Self::Open(authority) => (None, *authority),
            Self::Key(name) => (Some(Arc::clone(name)), Authority::Operator),
            Self::Token(_) => (None, Authority::EndUser),
        };
        Ok(Caller { api_key, authority, ..Caller::user(user).at(endpoint) })
    }
}

/// Whether a user id is one that only an API key has.
pub(super) fn is_reserved(user: &str) -> bool {
    user.trim_start().starts_with(KEY_PREFIX)
}

/// Whether a user can be called so.
pub(crate) fn is_usable(user: &str) -> bool {
    user.len() <= MAX_ID_BYTES && !user.trim().is_empty() && !user.chars().any(char::is_control)
}

fn api_key(headers: &HeaderMap) -> Option<&[u8]> {
    let header = || headers.get(&X_API_KEY).map(|value| value.as_bytes().trim_ascii());
    // An empty secret is none, so that it can never match, whatever is configured.
    bearer(headers).or_else(header).filter(|secret| !secret.is_empty())
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKey;
    use secrecy::SecretString;

    fn identities() -> Identities {
        let key =
            |name: &str, key: &str| ApiKey { name: name.to_owned(), key: SecretString::from(key.to_owned()) };
        Identities::new(
            &Identity {
                api_keys: vec![key("web", "k1"), key("batch", "k2")],
                admin_token: Some(SecretString::from("root".to_owned())),
                jwt: None,
            },
            true,
        )
        .unwrap()
    }

    #[tokio::test]
    async fn without_identities_only_a_caller_on_loopback_is_the_operator() {
        let none = Identity { api_keys: Vec::new(), admin_token: None, jwt: None };
        for (is_loopback, authority) in [(true, Authority::Operator), (false, Authority::EndUser)] {
            let identities = Identities::new(&none, is_loopback).unwrap();
            let sent = headers(&[("x-user-id", "ann")]);
            let caller = identities.check(&sent).await.unwrap().caller(&sent, None, "outcome").unwrap();
            assert_eq!(caller.authority, authority);
        }
        let user = Presented::Token("ann".into()).caller(&HeaderMap::new(), None, "outcome").unwrap();
        assert_eq!(user.authority, Authority::EndUser);
        let key = Presented::Key("web".into()).caller(&HeaderMap::new(), None, "outcome").unwrap();
        assert_eq!(key.authority, Authority::Operator);
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[tokio::test]
    async fn a_key_names_its_holder_and_may_name_a_user() {
        let identities = identities();
        let sent = headers(&[("x-api-key", "k2"), ("x-user-id", "ann")]);
        let caller = identities.check(&sent).await.unwrap().caller(&sent, Some("bob"), "process").unwrap();
        assert_eq!((&*caller.user, caller.api_key.as_deref()), ("ann", Some("batch")));
        let sent = headers(&[("authorization", "bearer k1")]);
        let caller = identities.check(&sent).await.unwrap().caller(&sent, None, "process").unwrap();
        assert_eq!((&*caller.user, caller.api_key.as_deref()), ("api-key:web", Some("web")));
    }

    #[test]
    fn the_user_of_a_key_cannot_be_named_by_another_caller() {
        let named = |presented: &Presented, header: Option<&str>, body: Option<&str>| {
            let sent = header.map_or_else(HeaderMap::new, |user| headers(&[("x-user-id", user)]));
            presented.caller(&sent, body, "process").map(|caller| caller.user)
        };
        let key = Presented::Key(Arc::from("web"));
        assert_eq!(&*named(&key, Some("api-key:web"), None).unwrap(), "api-key:web");
        for presented in [
            Presented::Open(Authority::Operator),
            Presented::Key(Arc::from("batch")),
            Presented::Token(Arc::from("ann")),
        ] {
            for user in ["api-key:web", "api-key:"] {
                assert!(named(&presented, Some(user), None).is_err(), "{presented:?} {user}");
                assert!(named(&presented, None, Some(user)).is_err(), "{presented:?} {user}");
            }
        }
        assert_eq!(&*named(&key, Some("web"), None).unwrap(), "web");
    }

    #[tokio::test]
    async fn an_empty_secret_matches_nothing() {
        let identity = Identity {
            api_keys: vec![ApiKey { name: "web".to_owned(), key: SecretString::from(String::new()) }],
            admin_token: Some(SecretString::from(String::new())),
            jwt: None,
        };
        let identities = Identities::new(&identity, true).unwrap();
        for sent in [("authorization", "Bearer "), ("authorization", "Bearer   "), ("x-api-key", "")] {
            let sent = headers(&[sent]);
            assert!(identities.check(&sent).await.is_err());
            assert_eq!(identities.is_admin(&sent), Some(false));
        }
    }

    #[tokio::test]
    async fn what_is_not_a_key_is_refused() {
        let identities = identities();
        for sent in [headers(&[]), headers(&[("x-api-key", "k3")]), headers(&[("authorization", "Basic k1")])]
        {
            assert!(identities.check(&sent).await.is_err());
        }
        assert_eq!(identities.is_admin(&headers(&[("authorization", "Bearer root")])), Some(true));
        assert_eq!(identities.is_admin(&headers(&[("authorization", "Bearer k1")])), Some(false));
    }
}
