//! The layers: defaults, then the TOML file, then the environment, then flags; each value keeps its origin.
//!
//! What nobody knows and what cannot be a scalar is an error that names key and file; nothing is ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::settings::{BREAKER_KEYS, BREAKER_NAMES, BREAKERS_TABLE, SETTINGS, Setting, Shown};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One value, still as text.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Every value that is set, by TOML key; those of single breakers are `breakers.NAME.KEY`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, Value>,
}

/// A wrong setting, in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration file {}: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{}: {reason}", .path.display())]
    NotToml { path: PathBuf, reason: String },
    #[error("unknown key {key:?} in {}", .path.display())]
    UnknownKey { key: String, path: PathBuf },
    #[error("unknown environment variable {name}")]
    UnknownVariable { name: String },
    #[error("{key} ({origin}): {reason}")]
    Wrong { key: String, origin: Origin, reason: String },
    #[error("{0}")]
    Together(String),
}

impl Layers {
    /// Reads the file (if there is one) and the environment.
    pub(crate) fn read(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                layers.set(setting.key, default.to_owned(), Origin::Default);
            }
        }
        if let Some(path) = file {
            layers.read_file(path)?;
        }
        for setting in SETTINGS {
            // An empty variable is an unset one: that is how container platforms spell "not configured".
            if let Some(text) = environment(setting.env).filter(|text| !text.trim().is_empty()) {
                layers.set(setting.key, text, Origin::Environment(setting.env));
            }
        }
        Ok(layers)
    }

    /// Refuses a variable that has our prefix and no meaning: most likely a setting with a wrong letter in it.
    pub(crate) fn check_names<'a>(
        names: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in names {
            let known = SETTINGS.iter().any(|setting| setting.env == name);
            if let Some(rest) = name.strip_prefix(PREFIX)
                && !known
                && !is_of_kubernetes(rest, value)
            {
                return Err(ConfigError::UnknownVariable { name: name.to_owned() });
            }
        }
        Ok(())
    }

    pub(crate) fn set(&mut self, key: impl Into<String>, text: String, origin: Origin) {
        self.values.insert(key.into(), Value { text, origin });
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The value parsed by `parse`, or nothing when it is not set.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        parse(value.text.trim()).map(Some).map_err(|reason| ConfigError::Wrong {
            key: key.to_owned(),
            origin: value.origin.clone(),
            reason,
        })
    }

    /// An error about a value that could be parsed and is wrong all the same.
    pub(crate) fn wrong(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        let origin = self.value(key).map_or(Origin::Default, |value| value.origin.clone());
        ConfigError::Wrong { key: key.to_owned(), origin, reason: reason.into() }
    }

    /// Every setting as it may be shown: key, value, origin.
    pub(crate) fn shown(&self) -> Vec<(String, String, String)> {
        let known = SETTINGS.iter().map(|setting| (setting.key.to_owned(), setting.shown));
        let breakers =
            self.values.keys().filter(|key| key.contains('.')).map(|key| (key.clone(), Shown::Plainly));
        known
            .chain(breakers)
            .map(|(key, shown)| match self.value(&key) {
                Some(value) => (key, show(&value.text, shown), value.origin.to_string()),
                None => (key, "-".to_owned(), Origin::Default.to_string()),
            })
            .collect()
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
            path: path.to_owned(),
            reason: first_line(&error.to_string()),
        })?;
        let origin = Origin::File(path.to_owned());
        for (key, value) in table {
            if key == BREAKERS_TABLE {
                self.read_breakers(&value, path)?;
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                return Err(ConfigError::UnknownKey { key, path: path.to_owned() });
            };
            self.set(setting.key, scalar(setting.key, &value, &origin)?, origin.clone());
        }
        Ok(())
    }

    fn read_breakers(&mut self, value: &toml::Value, path: &Path) -> Result<(), ConfigError> {
        let origin = Origin::File(path.to_owned());
        let unknown = |key: String| ConfigError::UnknownKey { key, path: path.to_owned() };
        let breakers = value.as_table().ok_or_else(|| unknown(BREAKERS_TABLE.to_owned()))?;
        for (name, fields) in breakers {
            let prefix = format!("{BREAKERS_TABLE}.{name}");
            let known = BREAKER_NAMES.contains(&name.as_str());
            let fields = fields.as_table().filter(|_| known).ok_or_else(|| unknown(prefix.clone()))?;
            for (field, value) in fields {
                let key = format!("{prefix}.{field}");
                if !BREAKER_KEYS.contains(&field.as_str()) {
                    return Err(unknown(key));
                }
                self.set(key.clone(), scalar(&key, value, &origin)?, origin.clone());
            }
        }
        Ok(())
    }
}

/// What the names of our own variables begin with.
const PREFIX: &str = "PICARCADE_";

/// Whether Kubernetes makes a variable of this name (without our prefix) for a service called `picarcade` or `picarcade-…`:
/// `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, `PORT`, `PORT_8080_TCP`, `PORT_8080_TCP_ADDR`.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let protocols = ["TCP", "UDP", "SCTP"];
    let of_port = |after: &str| {
        let mut words = after.split('_');
        words.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && words.next().is_some_and(|protocol| protocols.contains(&protocol))
    };
    // The service's own name may stand before; a port of one is a URL, which a mistyped setting is not.
    let of_another = rest.ends_with("_SERVICE_HOST")
        || rest.split_once("_SERVICE_PORT").is_some_and(|(_, end)| end.is_empty() || end.starts_with('_'))
        || rest.rsplit_once("_PORT_").is_some_and(|(_, after)| of_port(after))
        || (rest.ends_with("_PORT")
            && protocols.iter().any(|p| value.starts_with(&format!("{}://", p.to_lowercase()))));
    let own = matches!(rest, "PORT" | "SERVICE_HOST" | "SERVICE_PORT")
        || rest.starts_with("SERVICE_PORT_")
        || rest.strip_prefix("PORT_").is_some_and(of_port);
    own || of_another
}

impl Setting {
    /// The setting of this key.
    pub(crate) fn of(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// A value of the file as the text that the environment would carry; a list is joined by commas.
fn scalar(key: &str, value: &toml::Value, origin: &Origin) -> Result<String, ConfigError> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| scalar(key, item, origin)).collect();
            Ok(items?.join(","))
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => Err(ConfigError::Wrong {
            key: key.to_owned(),
            origin: origin.clone(),
            reason: "must be a string, a number, a boolean or a list of strings".to_owned(),
        }),
    }
}

fn show(text: &str, shown: Shown) -> String {
    match shown {
        Shown::Plainly => text.to_owned(),
        Shown::Redacted => "(redacted)".to_owned(),
        Shown::UrlWithoutCredentials => without_credentials(text),
    }
}

/// The URL without user, password and query, any of which may carry a secret.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return "(redacted)".to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // The last @ ends the credentials: a password may hold one, a host cannot.
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://(redacted)@{place}"),
        None => format!("{scheme}://{rest}"),
    }
}

fn first_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match (lines.first(), lines.last()) {
        (Some(first), Some(last)) if lines.len() > 1 => format!("{first}: {last}"),
        (Some(first), _) => (*first).to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        for (url, shown) in [
            ("redis://:hunter2@cache:6379/0", "redis://(redacted)@cache:6379/0"),
            ("postgres://u:p@ss@db/app?password=hunter2", "postgres://(redacted)@db/app"),
            ("redis://cache:6379", "redis://cache:6379"),
            ("hunter2", "(redacted)"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "llm_mode = \"cascade\"\nstats_cache_ttl = 7\n[breakers.openai]\ntimeout = 9\n",
        )
        .unwrap();
        let environment = |name: &str| (name == "LLM_MODE").then(|| "local".to_owned());
        let layers = Layers::read(Some(file.path()), environment).unwrap();
        let text = |key: &str| layers.value(key).map(|value| value.text.as_str());
        assert_eq!(text("llm_mode"), Some("local"));
        assert_eq!(text("stats_cache_ttl"), Some("7"));
        assert_eq!(text("intent_cache_ttl"), Some("3600"));
        assert_eq!(text("breakers.openai.timeout"), Some("9"));
    }

    #[test]
    fn unknown_variables_name_themselves_and_those_of_kubernetes_pass() {
        let check =
            |name: &str, value: &str| Layers::check_names([(name, value)]).map_err(|error| error.to_string());
        for name in [
            "PICARCADE_LISTNE",
            "PICARCADE_PORTS",
            "PICARCADE_PORT_HTTP",
            "PICARCADE_LISTEN_PORT",
            "PICARCADE_",
        ] {
            assert_eq!(check(name, "8080"), Err(format!("unknown environment variable {name}")));
        }
        for name in [
            "PICARCADE_LISTEN",
            "PICARCADE_PORT",
            "PICARCADE_PORT_8080_TCP",
            "PICARCADE_PORT_8080_TCP_ADDR",
            "PICARCADE_SERVICE_HOST",
            "PICARCADE_SERVICE_PORT",
            "PICARCADE_SERVICE_PORT_HTTP",
            "PICARCADE_REDIS_SERVICE_HOST",
            "PICARCADE_REDIS_PORT",
            "PICARCADE_REDIS_PORT_6379_TCP_PROTO",
            "PATH",
        ] {
            assert_eq!(check(name, "tcp://10.0.0.7:6379"), Ok(()), "{name}");
        }
    }

    #[test]
    fn unknown_keys_name_themselves_and_their_file() {
        for (text, key) in [
            ("listne = \"x\"", "\"listne\""),
            ("[breakers.opnai]\ntimeout = 1", "\"breakers.opnai\""),
            ("[breakers.openai]\ntimout = 1", "\"breakers.openai.timout\""),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let error = Layers::read(Some(file.path()), |_| None).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(&file.path().display().to_string()), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}
