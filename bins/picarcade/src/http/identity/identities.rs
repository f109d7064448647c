//! The configured identities, and the check of a request's credentials against them.
//!
//! All keys are compared each time, as BLAKE3 hashes in constant time. So the time of a check
//! depends neither on the content nor on the position of the matching key.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};
use picarcade_flow::{Authority, IdError};
use secrecy::ExposeSecret;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use super::presented::{Credential, KeyHolder, Presented};
use super::tokens::Tokens;
use super::user_id::KEY_PREFIX;
use crate::config::Identity;
use crate::http::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The configured identities. Keys are kept as hashes.
#[derive(Debug)]
pub(crate) struct Identities {
    keys: Vec<(KeyHolder, [u8; 32])>,
    admin: Option<[u8; 32]>,
    tokens: Option<Tokens>,
    /// The authority of every caller if no identity is configured.
    open: Authority,
}

/// Why configured identities cannot be used.
#[derive(Debug, Error)]
pub(crate) enum IdentityError {
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    #[error("the name of an API key {0}")]
    KeyName(#[from] IdError),
}

impl Identities {
    /// Creates the identities of a service that listens on loopback only, or on the network too.
    ///
    /// Without a configured identity, a caller on loopback is the operator. A caller from the
    /// network is not, because any client can be one.
    pub(crate) fn new(identity: &Identity, is_loopback: bool) -> Result<Self, IdentityError> {
        let hash = |secret: &str| *blake3::hash(secret.as_bytes()).as_bytes();
        let holder = |name: &str| {
            let user = format!("{KEY_PREFIX}{name}").parse()?;
            Ok(KeyHolder { name: Arc::from(name), user })
        };
        Ok(Self {
            keys: identity
                .api_keys
                .iter()
                .map(|key| Ok((holder(&key.name)?, hash(key.key.expose_secret()))))
                .collect::<Result<_, IdError>>()?,
            admin: identity.admin_token.as_ref().map(|token| hash(token.expose_secret())),
            tokens: identity.jwt.as_ref().map(Tokens::new).transpose()?,
            open: if is_loopback { Authority::Operator } else { Authority::EndUser },
        })
    }

    /// Checks the credentials of a request.
    pub(crate) async fn check(&self, headers: &HeaderMap) -> Result<Presented, Problem> {
        Ok(Presented::new(self.credential(headers).await?, headers))
    }

    async fn credential(&self, headers: &HeaderMap) -> Result<Credential, Problem> {
        if self.keys.is_empty() && self.tokens.is_none() {
            return Ok(Credential::Open(self.open));
        }
        if let (Some(tokens), Some(bearer)) = (&self.tokens, bearer(headers)) {
            // A token has two dots. An API key is taken for a token only if it has two dots as
            // well.
            if self.keys.is_empty() || bearer.split(|byte| *byte == b'.').count() == 3 {
                return tokens.user(bearer).await.map(Credential::Token);
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
            Some((holder, _)) if bool::from(found) => Ok(Credential::Key(holder.clone())),
            _ => Err(Problem::unauthorized("the API key is not known")),
        }
    }

    /// Returns whether the request has the admin token; `None` if no admin token is configured.
    pub(crate) fn is_admin(&self, headers: &HeaderMap) -> Option<bool> {
        let admin = self.admin.as_ref()?;
        let presented = bearer(headers).map(|secret| *blake3::hash(secret).as_bytes());
        Some(presented.is_some_and(|hash| bool::from(admin.ct_eq(&hash))))
    }
}

fn api_key(headers: &HeaderMap) -> Option<&[u8]> {
    let header = || headers.get(&X_API_KEY).map(|value| value.as_bytes().trim_ascii());
    // An empty secret counts as none, so that it can never match, whatever is configured.
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
    use picarcade_flow::FlowRequest;
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
    async fn without_identities_only_a_caller_on_loopback_is_an_operator() {
        let none = Identity { api_keys: Vec::new(), admin_token: None, jwt: None };
        for (is_loopback, authority) in [(true, Authority::Operator), (false, Authority::EndUser)] {
            let identities = Identities::new(&none, is_loopback).unwrap();
            let sent = headers(&[("x-user-id", "ann")]);
            let caller = identities.check(&sent).await.unwrap().caller(None, "outcome").unwrap();
            assert_eq!(caller.authority, authority);
        }
        for (credential, authority) in [
            (Credential::Token("ann".parse().unwrap()), Authority::EndUser),
            (key("web"), Authority::Operator),
        ] {
            let presented = Presented::new(credential, &HeaderMap::new());
            assert_eq!(presented.caller(None, "outcome").unwrap().authority, authority);
        }
    }

    fn key(name: &str) -> Credential {
        let user = format!("api-key:{name}").parse().unwrap();
        Credential::Key(KeyHolder { name: name.into(), user })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[tokio::test]
    async fn a_key_names_its_holder_and_may_name_a_user() {
        let identities = identities();
        let sent = headers(&[("x-api-key", "k2"), ("x-user-id", "ann")]);
        let caller =
            identities.check(&sent).await.unwrap().caller(Some(&"bob".parse().unwrap()), "process").unwrap();
        assert_eq!((caller.user.as_str(), caller.api_key.as_deref()), ("ann", Some("batch")));
        let sent = headers(&[("authorization", "bearer k1")]);
        let caller = identities.check(&sent).await.unwrap().caller(None, "process").unwrap();
        assert_eq!((caller.user.as_str(), caller.api_key.as_deref()), ("api-key:web", Some("web")));
    }

    #[test]
    fn only_the_key_itself_may_name_its_user() {
        let named = |credential: &Credential, header: Option<&str>, body: Option<&str>| {
            let sent = header.map_or_else(HeaderMap::new, |user| headers(&[("x-user-id", user)]));
            let body = body.map(|user| user.parse().unwrap());
            let caller = Presented::new(credential.clone(), &sent).caller(body.as_ref(), "process");
            caller.map(|caller| caller.user.to_string())
        };
        let web = key("web");
        assert_eq!(&*named(&web, Some("api-key:web"), None).unwrap(), "api-key:web");
        for credential in
            [Credential::Open(Authority::Operator), key("batch"), Credential::Token("ann".parse().unwrap())]
        {
            for user in ["api-key:web", "api-key:"] {
                assert!(named(&credential, Some(user), None).is_err(), "{credential:?} {user}");
                assert!(named(&credential, None, Some(user)).is_err(), "{credential:?} {user}");
            }
        }
        assert_eq!(&*named(&web, Some("web"), None).unwrap(), "web");
    }

    #[test]
    fn an_unusable_id_in_a_request_names_nobody_and_is_left_to_the_flow() {
        let user = |credential: Credential, user: &str| {
            let request = FlowRequest { user_id: Some(user.to_owned()), ..FlowRequest::new("a red fox") };
            let presented = Presented::new(credential, &HeaderMap::new());
            presented.caller_of_request(&request, "process").map(|caller| caller.user.to_string())
        };
        let open = Credential::Open(Authority::Operator);
        assert_eq!(user(open.clone(), "a\u{7}").unwrap(), "anonymous");
        assert_eq!(user(key("web"), " ").unwrap(), "api-key:web");
        // What may not be named is refused, usable or not.
        assert!(user(open, "api-key:web\u{7}").is_err());
        assert!(user(Credential::Token("ann".parse().unwrap()), " ").is_err());
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
    async fn an_unknown_key_is_refused() {
        let identities = identities();
        for sent in [headers(&[]), headers(&[("x-api-key", "k3")]), headers(&[("authorization", "Basic k1")])]
        {
            assert!(identities.check(&sent).await.is_err());
        }
        assert_eq!(identities.is_admin(&headers(&[("authorization", "Bearer root")])), Some(true));
        assert_eq!(identities.is_admin(&headers(&[("authorization", "Bearer k1")])), Some(false));
    }
}
