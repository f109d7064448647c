//! The settings of identities: API keys, tokens of end users, and the admin.

use secrecy::SecretString;

use super::error::ConfigError;
use super::layers::{Layers, is_blank};
use super::setting::{self, Setting, plain, url};
use super::values::{http_url, items, secret, text};

/// The shortest secret of HS256 in bytes: RFC 7518 (3.2) wants a key of at least the hash's size.
/// A shorter one can be found offline from a single token.
const MIN_SECRET: usize = 32;

/// The longest name of an API key in bytes. The name is also part of a user id.
const MAX_NAME: usize = 128;

/// The identities that the service accepts.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) admin_token: Option<SecretString>,
    pub(crate) jwt: Option<JwtSettings>,
}

/// One API key.
#[derive(Debug)]
pub(crate) struct ApiKey {
    pub(crate) name: String,
    pub(crate) key: SecretString,
}

/// How tokens of end users are checked.
#[derive(Debug)]
pub(crate) struct JwtSettings {
    pub(crate) secret: Option<SecretString>,
    pub(crate) jwks_url: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
}

pub(super) fn settings() -> Vec<Setting> {
    vec![
        setting::secret("PICARCADE_API_KEYS"),
        setting::secret("PICARCADE_ADMIN_TOKEN"),
        setting::secret("PICARCADE_JWT_SECRET"),
        url("PICARCADE_JWKS_URL"),
        plain("PICARCADE_JWT_ISSUER"),
        plain("PICARCADE_JWT_AUDIENCE"),
    ]
}

pub(super) fn identity(layers: &Layers) -> Result<Identity, ConfigError> {
    let api_keys =
        layers.parsed("api_keys", |value| items(value).map(api_key).collect::<Result<Vec<_>, _>>())?;
    let mut names: Vec<_> = api_keys.iter().flatten().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(layers.wrong("api_keys", "two keys have the same name"));
    }
    let jwt = JwtSettings {
        secret: layers.parsed("jwt_secret", jwt_secret)?,
        jwks_url: layers.parsed("jwks_url", http_url)?,
        issuer: layers.parsed("jwt_issuer", text)?,
        audience: layers.parsed("jwt_audience", text)?,
    };
    let has_keys = jwt.secret.is_some() || jwt.jwks_url.is_some();
    for key in ["jwt_issuer", "jwt_audience"] {
        if !has_keys && layers.value(key).is_some() {
            return Err(layers.wrong(key, "needs PICARCADE_JWT_SECRET or PICARCADE_JWKS_URL"));
        }
    }
    Ok(Identity {
        api_keys: api_keys.unwrap_or_default(),
        admin_token: layers.parsed("admin_token", secret)?,
        jwt: has_keys.then_some(jwt),
    })
}

fn jwt_secret(value: &str) -> Result<SecretString, String> {
    if value.len() < MIN_SECRET {
        return Err(format!("must have at least {MIN_SECRET} bytes, as HS256 requires"));
    }
    secret(value)
}

fn api_key(item: &str) -> Result<ApiKey, String> {
    match item.split_once(':') {
        Some((name, _)) if name.trim().len() > MAX_NAME || name.chars().any(char::is_control) => {
            Err(format!("a name must have at most {MAX_NAME} bytes and no control characters"))
        }
        Some((name, key)) if !is_blank(name) && !is_blank(key) => {
            Ok(ApiKey { name: name.trim().to_owned(), key: SecretString::from(key.trim().to_owned()) })
        }
        _ => Err("must be a comma list of name:key".to_owned()),
    }
}
