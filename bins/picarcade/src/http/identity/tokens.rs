//! Tokens of end users (JWT, RFC 7519), as Supabase issues them: HS256 with a shared secret, or a
//! key of a JWKS.
//!
//! The algorithm belongs to the key, never to the token: a token names a key, and the algorithm
//! that it states must be that key's (RFC 8725, 3.1). No extension of the header is supported, so a
//! token with `crit` or with an unencoded payload (`b64`, RFC 7797) is refused. `exp` and `sub` are
//! required; `iss` and `aud` are required if they are configured. The roles `anon` and
//! `service_role` are not end users.

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
    sub: UserId,
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
        let invalid = || Problem::unauthorized("the token is not valid");
        if token.len() > MAX_TOKEN {
            return Err(invalid());
        }
        let header = decode_header(token).map_err(|_| invalid())?;
        let is_encoded = header.extras.inner().get("b64").is_none_or(|b64| *b64 == Value::Bool(true));
        if header.crit.is_some() || !is_encoded {
            return Err(invalid());
        }
        let claims = match (header.alg, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some(secret), _) => self.claims(token, secret, Algorithm::HS256),
            (Algorithm::HS256, None, _) | (_, _, None) => None,
            (algorithm, _, Some(jwks)) => match jwks.key(header.kid.as_deref()).await {
                Lookup::Found(key) if key.algorithm == algorithm => self.claims(token, &key.key, algorithm),
                Lookup::Found(_) | Lookup::Unknown => None,
                Lookup::Unavailable => {
                    return Err(Problem::unavailable("tokens cannot be checked now", KEYS_RETRY));
                }
            },
        };
        let claims = claims.ok_or_else(invalid)?;
        if is_reserved(claims.sub.as_str()) {
            return Err(invalid());
        }
        if is_no_user(&claims.role) {
            return Err(Problem::unauthorized("the token is not an end user's"));
        }
        Ok(claims.sub)
    }

    fn claims(&self, token: &[u8], key: &DecodingKey, algorithm: Algorithm) -> Option<Claims> {
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
        decode(token, key, &validation).ok().map(|data| data.claims)
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
