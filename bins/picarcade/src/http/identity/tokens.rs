//! Tokens of end users (JWT, RFC 7519), as Supabase issues them: HS256 with a shared secret, or a
//! key of a JWKS.
//!
//! The algorithm belongs to the key, never to the token: a token names a key, and the algorithm
//! that it states must be that key's (RFC 8725, 3.1). No extension of the header is supported, so a
//! token with `crit` or with an unencoded payload (`b64`, RFC 7797) is refused. `exp` and `sub` are
//! required; `iss` and `aud` are required if they are configured. The roles `anon` and
//! `service_role` are not end users.
//!
//! A refusal names its reason in `WWW-Authenticate` (RFC 6750, 3.1) and in the log. The reason is
//! from a closed set and never quotes the token.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use picarcade_flow::UserId;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use super::jwks::{Jwks, Lookup};
use super::user_id::is_reserved;
use crate::config::JwtSettings;
use crate::http::problem::Problem;

/// The largest difference between the clocks of issuer and service, in seconds.
const LEEWAY: u64 = 30;

/// The longest token that is read, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// When a client may retry if the keys cannot be read.
const KEYS_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// The check of tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    issuer: Option<String>,
    audience: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: Value,
    /// Supabase writes a string; other issuers write lists and objects.
    #[serde(default)]
    role: Value,
}

impl Tokens {
    pub(crate) fn new(settings: &JwtSettings) -> Result<Self, reqwest::Error> {
        Ok(Self {
            secret: settings
                .secret
                .as_ref()
                .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            jwks: settings.jwks_url.as_deref().map(Jwks::new).transpose()?,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
        })
    }

    /// Returns the user of the token.
    pub(crate) async fn user(&self, token: &[u8]) -> Result<UserId, Problem> {
        self.user_or_refusal(token).await?.map_err(|refusal| {
            let reason = refusal.reason();
            tracing::warn!(reason, "a token was refused");
            let detail = match refusal {
                Refusal::NoEndUser => reason,
                _ => "the token is not valid",
            };
            Problem::invalid_token(detail, reason)
        })
    }

    /// The outer error is a problem of this service, the inner one a fault of the token.
    async fn user_or_refusal(&self, token: &[u8]) -> Result<Result<UserId, Refusal>, Problem> {
        if token.len() > MAX_TOKEN {
            return Ok(Err(Refusal::TooLong));
        }
        let header = match decode_header(token) {
            Ok(header) => header,
            Err(error) => return Ok(Err(Refusal::of(error.kind()))),
        };
        let is_encoded = header.extras.inner().get("b64").is_none_or(|b64| *b64 == Value::Bool(true));
        if header.crit.is_some() || !is_encoded {
            return Ok(Err(Refusal::Extension));
        }
        let claims = match (header.alg, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some(secret), _) => self.claims(token, secret, Algorithm::HS256),
            (Algorithm::HS256, None, _) | (_, _, None) => Err(Refusal::Algorithm),
            (algorithm, _, Some(jwks)) => match jwks.key(header.kid.as_deref()).await {
                Lookup::Found(key) if key.algorithm == algorithm => self.claims(token, &key.key, algorithm),
                Lookup::Found(_) => Err(Refusal::Algorithm),
                Lookup::Unknown => Err(Refusal::UnknownKey),
                Lookup::Unavailable => {
                    return Err(Problem::unavailable("tokens cannot be checked now", KEYS_RETRY));
                }
            },
        };
        Ok(claims.and_then(Claims::user))
    }

    fn claims(&self, token: &[u8], key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, Refusal> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp", "sub"];
        match &self.issuer {
            Some(issuer) => {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            None => validation.iss = None,
        }
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        decode(token, key, &validation).map(|data| data.claims).map_err(|error| Refusal::of(error.kind()))
    }
}

impl Claims {
    fn user(self) -> Result<UserId, Refusal> {
        let subject = match self.sub {
            Value::String(subject) if !subject.is_empty() => subject,
            Value::Null | Value::String(_) => return Err(Refusal::NoSubject),
            _ => return Err(Refusal::Subject),
        };
        let user = UserId::try_from(subject).map_err(|_| Refusal::Subject)?;
        if is_reserved(user.as_str()) {
            return Err(Refusal::Subject);
        }
        if is_no_user(&self.role) { Err(Refusal::NoEndUser) } else { Ok(user) }
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Malformed,
    TooLong,
    Extension,
    Algorithm,
    UnknownKey,
    Signature,
    Expired,
    NotYetValid,
    NoExpiry,
    Audience,
    Issuer,
    NoSubject,
    Subject,
    NoEndUser,
}

impl Refusal {
    fn of(error: &ErrorKind) -> Self {
        match error {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidSubject => Self::NoSubject,
            ErrorKind::MissingRequiredClaim(name) => match name.as_str() {
                "exp" => Self::NoExpiry,
                "aud" => Self::Audience,
                "iss" => Self::Issuer,
                "sub" => Self::NoSubject,
                _ => Self::Malformed,
            },
            ErrorKind::InvalidAlgorithm
            | ErrorKind::InvalidAlgorithmName
            | ErrorKind::UnsupportedAlgorithm
            | ErrorKind::MissingAlgorithm => Self::Algorithm,
            _ => Self::Malformed,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the token is malformed",
            Self::TooLong => "the token is too long",
            Self::Extension => "the token uses an extension that is not supported",
            Self::Algorithm => "the algorithm of the token is not accepted",
            Self::UnknownKey => "the key of the token is unknown",
            Self::Signature => "the signature of the token is wrong",
            Self::Expired => "the token is expired",
            Self::NotYetValid => "the token is not yet valid",
            Self::NoExpiry => "the token has no expiry",
            Self::Audience => "the token is for another audience",
            Self::Issuer => "the token is from another issuer",
            Self::NoSubject => "the token has no subject",
            Self::Subject => "the subject of the token is not a usable user id",
            Self::NoEndUser => "the token is not an end user's",
        }
    }
}

/// Returns whether a role is, or contains, one that is not an end user's. In an object, a name with
/// `false` or `null` is a role that the user does not have.
fn is_no_user(role: &Value) -> bool {
    let is_named = |text: &str| {
        let mut words = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        words.any(|word| ["anon", "service_role"].iter().any(|role| word.eq_ignore_ascii_case(role)))
    };
    match role {
        Value::String(text) => is_named(text),
        Value::Array(items) => items.iter().any(is_no_user),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_granted = !matches!(value, Value::Null | Value::Bool(false));
            (is_named(name) && is_granted) || is_no_user(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn roles_that_are_not_end_users_are_found_in_every_form() {
        for role in [
            json!("anon"),
            json!("service_role"),
            json!("authenticated anon"),
            json!(["authenticated", "anon"]),
            json!({"name": "service_role"}),
            json!({"anon": true}),
            json!([{"roles": ["Anon"]}]),
        ] {
            assert!(is_no_user(&role), "{role}");
        }
        for role in [
            json!(null),
            json!("authenticated"),
            json!("anonymous"),
            json!(["editor", 7]),
            json!({"anon": false, "editor": true}),
            json!({}),
        ] {
            assert!(!is_no_user(&role), "{role}");
        }
    }
}
