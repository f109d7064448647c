//! The layers: defaults, then the TOML file, then the environment, then flags. Each value keeps its
//! origin.
//!
//! An unknown key and a value that is not a scalar are errors that name the key, the file and the
//! line. An empty value counts as unset in every layer. Container platforms and templates write
//! "not configured" that way, and an empty secret would let every caller in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::config::redact::{REDACTED, redact_url};
use crate::config::settings::{BREAKER_KEYS, BREAKER_NAMES, BREAKERS_TABLE, SETTINGS, Setting, Shown};

/// The number of a line, from 1.
type Line = usize;

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf, Line),
    Environment(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One value, still as text. `Debug` does not show it, because it may be a secret.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Every set value by its TOML key. Those of single breakers have the key `breakers.NAME.KEY`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, Value>,
}

/// A wrong setting, in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration file {}: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{}:{line}: {reason}", .path.display())]
    NotToml { path: PathBuf, line: Line, reason: String },
    #[error("unknown key {key:?} in {}:{line}", .path.display())]
    UnknownKey { key: String, path: PathBuf, line: Line },
    #[error("unknown environment variable {name}")]
    UnknownVariable { name: String },
    #[error("{key} ({origin}): {reason}")]
    Wrong { key: String, origin: Origin, reason: String },
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
            if let Some(text) = environment(setting.env) {
                layers.set(setting.key, text, Origin::Environment(setting.env));
            }
        }
        Ok(layers)
    }

    /// Refuses an unknown variable that has our prefix, because it is most likely a misspelled
    /// setting.
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

    /// Sets a value over those of lower layers, unless it is empty.
    pub(crate) fn set(&mut self, key: impl Into<String>, text: String, origin: Origin) {
        if !text.trim().is_empty() {
            self.values.insert(key.into(), Value { text, origin });
        }
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Returns the value parsed by `parse`, or `None` if it is not set.
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

    /// Returns the error for a value that can be parsed but is still wrong.
    pub(crate) fn wrong(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        let origin = self.value(key).map_or(Origin::Default, |value| value.origin.clone());
        ConfigError::Wrong { key: key.to_owned(), origin, reason: reason.into() }
    }

    /// Returns the key with its origin, for an error about what the value leads to.
    pub(crate) fn setting(&self, key: &str) -> String {
        format!("{key} ({})", self.value(key).map_or(&Origin::Default, |value| &value.origin))
    }

    /// Returns every setting without its secrets: key, value, origin.
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
        let file = File { path, text: &text };
        let table = DeTable::parse(&text).map_err(|error| ConfigError::NotToml {
            path: path.to_owned(),
            line: file.line(error.span().map_or(0, |span| span.start)),
            // The error's own text quotes the line, which may hold a secret.
            reason: error.message().lines().next().unwrap_or("is not TOML").to_owned(),
        })?;
        for (key, value) in table.get_ref() {
            let (line, name) = (file.line(key.span().start), &**key.get_ref());
            if name == BREAKERS_TABLE {
                self.read_breakers(value.get_ref(), &file, line)?;
                continue;
            }
            let Some(setting) = Setting::of(name) else { return Err(file.unknown(name.to_owned(), line)) };
            let origin = file.origin(line);
            self.set(setting.key, scalar(setting.key, value.get_ref(), &origin)?, origin);
        }
        Ok(())
    }

    fn read_breakers(&mut self, value: &DeValue<'_>, file: &File<'_>, line: Line) -> Result<(), ConfigError> {
        let breakers = value.as_table().ok_or_else(|| file.unknown(BREAKERS_TABLE.to_owned(), line))?;
        for (name, fields) in breakers {
            let line = file.line(name.span().start);
            let prefix = format!("{BREAKERS_TABLE}.{}", name.get_ref());
            let known = BREAKER_NAMES.contains(&&**name.get_ref());
            let fields = fields.get_ref().as_table().filter(|_| known);
            for (field, value) in fields.ok_or_else(|| file.unknown(prefix.clone(), line))? {
                let line = file.line(field.span().start);
                let key = format!("{prefix}.{}", field.get_ref());
                if !BREAKER_KEYS.contains(&&**field.get_ref()) {
                    return Err(file.unknown(key, line));
                }
                let origin = file.origin(line);
                self.set(key.clone(), scalar(&key, value.get_ref(), &origin)?, origin);
            }
        }
        Ok(())
    }
}

/// The configuration file.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// Returns the line of a byte.
    fn line(&self, at: usize) -> Line {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn origin(&self, line: Line) -> Origin {
        Origin::File(self.path.to_owned(), line)
    }

    fn unknown(&self, key: String, line: Line) -> ConfigError {
        ConfigError::UnknownKey { key, path: self.path.to_owned(), line }
    }
}

/// The prefix of our own variables.
const PREFIX: &str = "PICARCADE_";

/// Returns whether Kubernetes sets this variable (here without our prefix) for a service called
/// `picarcade` or `picarcade-…`: `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, `PORT`,
/// `PORT_8080_TCP`, `PORT_8080_TCP_ADDR`.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let protocols = ["TCP", "UDP", "SCTP"];
    let of_port = |after: &str| {
        let mut words = after.split('_');
        words.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && words.next().is_some_and(|protocol| protocols.contains(&protocol))
    };
    // The rest of the service's name may come first. A port of such a service has a URL as its
    // value, which a misspelled setting does not have.
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

/// Returns a value of the file as the text that the environment would have. The items of a list are
/// joined by commas.
fn scalar(key: &str, value: &DeValue<'_>, origin: &Origin) -> Result<String, ConfigError> {
    let wrong = |reason: &str| ConfigError::Wrong {
        key: key.to_owned(),
        origin: origin.clone(),
        reason: reason.to_owned(),
    };
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| wrong("must be a whole number below 2^63")),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Ok(flag.to_string()),
        DeValue::Array(items) => {
            let items: Result<Vec<_>, _> =
                items.iter().map(|item| scalar(key, item.get_ref(), origin)).collect();
            Ok(items?.join(","))
        }
        DeValue::Table(_) | DeValue::Datetime(_) => {
            Err(wrong("must be a string, a number, a boolean or a list of strings"))
        }
    }
}

fn show(text: &str, shown: Shown) -> String {
    match shown {
        Shown::Plainly => text.to_owned(),
        Shown::Redacted => REDACTED.to_owned(),
        Shown::UrlWithoutCredentials => redact_url(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (text, key, line) in [
            ("listne = \"x\"", "\"listne\"", 1),
            ("\n\n[breakers.opnai]\ntimeout = 1", "\"breakers.opnai\"", 3),
            ("[breakers.openai]\ntimout = 1", "\"breakers.openai.timout\"", 2),
            ("# é\nbreakers = 1", "\"breakers\"", 2),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let error = Layers::read(Some(file.path()), |_| None).unwrap_err().to_string();
            assert_eq!(error, format!("unknown key {key} in {}:{line}", file.path().display()));
        }
    }

    #[test]
    fn an_empty_value_is_an_unset_one_in_every_layer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "jwt_secret = \"\"\nadmin_token = \" \\t\"\napi_keys = []\nlisten = \"\"\n",
        )
        .unwrap();
        let mut layers = Layers::read(Some(file.path()), |name| {
            Some(if name == "REDIS_URL" { "\u{a0} \n".to_owned() } else { String::new() })
        })
        .unwrap();
        layers.set("listen", " ".to_owned(), Origin::Flag("--listen"));
        for key in ["jwt_secret", "admin_token", "api_keys", "redis_url"] {
            assert!(layers.value(key).is_none(), "{key}");
        }
        assert_eq!(layers.value("listen").map(|value| &*value.text), Some("127.0.0.1:8080"));
    }

    #[test]
    fn a_file_that_is_not_toml_names_its_line_and_quotes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"a:1\"\nadmin_token = hunter2hunter2\n").unwrap();
        let error = Layers::read(Some(file.path()), |_| None).unwrap_err().to_string();
        assert!(error.contains(":2: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn values_are_not_shown_by_debug() {
        let mut layers = Layers::default();
        layers.set("admin_token", "hunter2".to_owned(), Origin::Default);
        assert!(!format!("{layers:?}").contains("hunter2"));
    }

    #[test]
    fn numbers_of_every_spelling_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "max_connections = 1_000\ncost_limit_per_hour = 1_0.5\nrate_limit_requests_per_hour = 0x10\n\
             shutdown_timeout = +7\nrate_limit_requests_per_minute = -3\n",
        )
        .unwrap();
        let layers = Layers::read(Some(file.path()), |_| None).unwrap();
        for (key, text) in [
            ("max_connections", "1000"),
            ("cost_limit_per_hour", "10.5"),
            ("rate_limit_requests_per_hour", "16"),
            ("shutdown_timeout", "7"),
            ("rate_limit_requests_per_minute", "-3"),
        ] {
            assert_eq!(layers.value(key).map(|value| &*value.text), Some(text), "{key}");
        }
    }
}
