//! End users by their tokens (JWT, RFC 7519), as Supabase issues them: HS256 with a shared secret, or a key of a JWKS.
//!
//! The algorithm belongs to the key, never to the token: a token names a key, and what it says of its algorithm must be that
//! key's (RFC 8725, 3.1). `exp` and `sub` are required; `iss` and `aud` are where they are configured. The `anon` and
//! `service_role` roles are no end users.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::config::JwtSettings;
use crate::http::identity::jwks::{Jwks, Lookup};
use crate::http::problem::Problem;

/// How far the clocks of issuer and service may be apart, in seconds.
const LEEWAY: u64 = 30;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// When to come back while the keys cannot be read.
const KEYS_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    issuer: Option<String>,
    audience: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    role: Option<String>,
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

    /// The user that the token is about.
    pub(crate) async fn user(&self, token: &[u8]) -> Result<Arc<str>, Problem> {
        let invalid = || Problem::unauthorized("the token is not valid");
        if token.len() > MAX_TOKEN {
            return Err(invalid());
        }
        let header = decode_header(token).map_err(|_| invalid())?;
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
        match claims.role.as_deref() {
            Some("anon" | "service_role") => Err(Problem::unauthorized("the token is not an end user's")),
            _ if claims.sub.trim().is_empty() || claims.sub.chars().any(char::is_control) => Err(invalid()),
            _ => Ok(Arc::from(claims.sub)),
        }
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
