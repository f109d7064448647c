//! The settings of identities: API keys, tokens of end users, and the admin.

use secrecy::{ExposeSecret, SecretString};

use super::error::ConfigError;
use super::layers::{Layers, is_blank, is_quoted};
use super::setting::{self, Setting, plain, url};
use super::values::{http_url, items, secret, text};

/// The shortest secret of HS256 in bytes: RFC 7518 (3.2) wants a key of at least the hash's size.
/// A shorter one can be found offline from a single token.
const MIN_SECRET: usize = 32;

/// The shortest API key in characters. A shorter one is a placeholder.
const MIN_KEY: usize = 4;

/// The length in characters below which a key or token can be guessed over the network.
const GUESSABLE: usize = 16;

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
    let api_keys = layers.parsed("api_keys", api_keys)?;
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

/// Parses the comma list of API keys, in which each name and each key occurs once.
fn api_keys(value: &str) -> Result<Vec<ApiKey>, String> {
    if value.starts_with(['[', '{']) {
        return Err("must be a comma list of name:key, not JSON".to_owned());
    }
    let keys = items(value).map(api_key).collect::<Result<Vec<_>, _>>()?;
    for (at, key) in keys.iter().enumerate() {
        for other in keys.iter().take(at) {
            if key.name == other.name {
                return Err("two keys have the same name".to_owned());
            }
            if key.key.expose_secret() == other.key.expose_secret() {
                return Err(format!("{} and {} have the same key: each needs its own", other.name, key.name));
            }
        }
    }
    // Only now, so that a list with other mistakes is not first made longer.
    match keys.iter().find(|key| key.key.expose_secret().chars().count() < MIN_KEY) {
        Some(short) => Err(format!("the key of {} must have at least {MIN_KEY} characters", short.name)),
        None => Ok(keys),
    }
}

/// Returns a warning about keys and tokens that can be guessed.
pub(super) fn warning(identity: &Identity, layers: &Layers) -> Option<String> {
    let is_short = |secret: &SecretString| secret.expose_secret().chars().count() < GUESSABLE;
    let setting = if identity.api_keys.iter().any(|key| is_short(&key.key)) {
        "api_keys"
    } else if identity.admin_token.as_ref().is_some_and(is_short) {
        "admin_token"
    } else {
        return None;
    };
    Some(format!("{}: fewer than {GUESSABLE} characters can be guessed", layers.setting(setting)))
}

fn api_key(item: &str) -> Result<ApiKey, String> {
    match item.split_once(':') {
        Some((name, key)) if is_quoted(key.trim()) || name.contains(['"', '\'']) => {
            Err("names and keys must not be in quotes".to_owned())
        }
        Some((_, key)) if key.trim().chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Err("a key must not contain white space; commas separate the keys".to_owned())
        }
        Some((name, _)) if name.trim().len() > MAX_NAME || name.chars().any(char::is_control) => {
            Err(format!("a name must have at most {MAX_NAME} bytes and no control characters"))
        }
        Some((name, key)) if !is_blank(name) && !is_blank(key) => {
            Ok(ApiKey { name: name.trim().to_owned(), key: SecretString::from(key.trim().to_owned()) })
        }
        _ => Err("must be a comma list of name:key".to_owned()),
    }
}
