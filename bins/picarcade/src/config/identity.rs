//! Who may ask: API keys, end users' tokens, the admin.

use secrecy::SecretString;

use super::layers::{ConfigError, Layers};
use super::values::{http_url, text};

/// Who may ask.
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

/// How end-user tokens are checked.
#[derive(Debug)]
pub(crate) struct JwtSettings {
    pub(crate) secret: Option<SecretString>,
    pub(crate) jwks_url: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
}

pub(super) fn identity(layers: &Layers) -> Result<Identity, ConfigError> {
    let api_keys = layers.parsed("api_keys", |value| {
        let keys: Result<Vec<_>, _> =
            value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(api_key).collect();
        keys
    })?;
    let mut names: Vec<_> = api_keys.iter().flatten().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(layers.wrong("api_keys", "two keys have the same name"));
    }
    let secret = |key: &str| layers.parsed(key, |value| Ok(SecretString::from(value.to_owned())));
    let jwt = JwtSettings {
        secret: secret("jwt_secret")?,
        jwks_url: layers.parsed("jwks_url", http_url)?,
        issuer: layers.parsed("jwt_issuer", text)?,
        audience: layers.parsed("jwt_audience", text)?,
    };
    let has_keys = jwt.secret.is_some() || jwt.jwks_url.is_some();
    if !has_keys && (jwt.issuer.is_some() || jwt.audience.is_some()) {
        return Err(ConfigError::Together(
            "a JWT issuer or audience is set, but neither PICARCADE_JWT_SECRET nor PICARCADE_JWKS_URL"
                .to_owned(),
        ));
    }
    Ok(Identity {
        api_keys: api_keys.unwrap_or_default(),
        admin_token: secret("admin_token")?,
        jwt: has_keys.then_some(jwt),
    })
}

fn api_key(item: &str) -> Result<ApiKey, String> {
    match item.split_once(':') {
        Some((name, key)) if !name.trim().is_empty() && !key.trim().is_empty() => {
            Ok(ApiKey { name: name.trim().to_owned(), key: SecretString::from(key.trim().to_owned()) })
        }
        _ => Err("must be a comma list of name:key".to_owned()),
    }
}
