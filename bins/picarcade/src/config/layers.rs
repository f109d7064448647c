//! The layers: defaults, then the TOML file, then the environment, then flags. Each value keeps its
//! origin.
//!
//! An unknown key and a value that is not a scalar are errors that name the key, the file and the
//! line. An empty value counts as unset in every layer. Container platforms and templates write
//! "not configured" that way, and an empty secret would let every caller in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::{ConfigError, Origin};
use super::file;
use super::redact::{REDACTED, redact_url};
use super::setting::{Setting, Shown};

/// The reason why a value in quotes is wrong.
const QUOTED: &str = "must not be in quotes: files of `docker --env-file` keep them as a part of the value";

/// One value, still as text. `Debug` does not show it, because it may be a secret.
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Every set value by its TOML key.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    settings: &'static [Setting],
    values: BTreeMap<String, Value>,
    /// What may be a mistake, in one line each.
    pub(crate) warnings: Vec<String>,
}

impl Layers {
    /// Reads these settings from the file (if there is one) and the environment.
    pub(crate) fn read(
        settings: &'static [Setting],
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self { settings, ..Self::default() };
        for setting in settings {
            if let Some(default) = setting.default {
                layers.set(&*setting.key, default.to_owned(), Origin::Default);
            }
        }
        if let Some(path) = file {
            for entry in file::read(settings, path)? {
                layers.set(entry.key, entry.text, entry.origin);
            }
        }
        for setting in settings {
            if let Some(variable) = &setting.variable
                && let Some(text) = environment(variable)
            {
                layers.set(&*setting.key, text, Origin::Environment(variable));
            }
        }
        Ok(layers)
    }

    /// Sets a value over those of lower layers, unless it is empty. A list of empty elements counts
    /// as empty.
    pub(crate) fn set(&mut self, key: impl Into<String>, text: String, origin: Origin) {
        if !text.split(',').all(is_blank) {
            self.values.insert(key.into(), Value { text, origin });
        }
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Makes these settings unset.
    pub(super) fn unset(&mut self, settings: &[Setting]) {
        for setting in settings {
            self.values.remove(&setting.key);
        }
    }

    /// Returns the value parsed by `parse`, or `None` if it is not set. White space around a value
    /// is not part of it: files of secrets end in a line break.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let text = value.text.trim();
        let parsed = if is_quoted(text) { Err(QUOTED.to_owned()) } else { parse(text) };
        parsed.map(Some).map_err(|reason| ConfigError::Wrong {
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

    /// Returns every setting without its secrets: key, value, origin. A setting that only the file
    /// has is left out unless it is set.
    pub(crate) fn shown(&self) -> Vec<(String, String, String)> {
        let show_one = |setting: &Setting| {
            let (value, origin) = match self.value(&setting.key) {
                Some(value) => (show(&value.text, setting.shown), value.origin.to_string()),
                None if setting.variable.is_none() => return None,
                None => ("-".to_owned(), Origin::Default.to_string()),
            };
            Some((setting.key.clone(), value, origin))
        };
        self.settings.iter().filter_map(show_one).collect()
    }
}

/// Returns whether a text shows nothing: it contains only white space, control characters and
/// characters without width, which copying from a web page leaves behind.
pub(crate) fn is_blank(text: &str) -> bool {
    let is_unseen = |c: char| {
        let has_no_width =
            matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
        c.is_whitespace() || c.is_control() || has_no_width
    };
    text.chars().all(is_unseen)
}

/// Returns whether a text is in quotes.
pub(super) fn is_quoted(text: &str) -> bool {
    ['"', '\''].into_iter().any(|quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote))
}

fn show(text: &str, shown: Shown) -> String {
    match shown {
        Shown::Plainly => text.trim().to_owned(),
        Shown::Redacted => REDACTED.to_owned(),
        Shown::UrlWithoutCredentials => redact_url(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::effective::SETTINGS;

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "llm_mode = \"cascade\"\nstats_cache_ttl = 7\n[breakers.openai]\ntimeout = 9\n",
        )
        .unwrap();
        let environment = |name: &str| (name == "LLM_MODE").then(|| "local".to_owned());
        let layers = Layers::read(&SETTINGS, Some(file.path()), environment).unwrap();
        let text = |key: &str| layers.value(key).map(|value| value.text.as_str());
        assert_eq!(text("llm_mode"), Some("local"));
        assert_eq!(text("stats_cache_ttl"), Some("7"));
        assert_eq!(text("intent_cache_ttl"), Some("3600"));
        assert_eq!(text("breakers.openai.timeout"), Some("9"));
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
            let error = Layers::read(&SETTINGS, Some(file.path()), |_| None).unwrap_err().to_string();
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
        let mut layers = Layers::read(&SETTINGS, Some(file.path()), |name| {
            Some(if name == "REDIS_URL" { "\u{a0} \n".to_owned() } else { String::new() })
        })
        .unwrap();
        layers.set("listen", " ".to_owned(), Origin::Flag("--listen"));
        for key in ["jwt_secret", "admin_token", "api_keys", "redis_url"] {
            assert!(layers.value(key).is_none(), "{key}");
        }
        for text in [",", " , ,\t", "\u{200b}", "\u{feff},\u{ad}", "\u{0}"] {
            layers.set("admin_token", text.to_owned(), Origin::Environment("PICARCADE_ADMIN_TOKEN"));
            assert!(layers.value("admin_token").is_none(), "{text:?}");
        }
        assert_eq!(layers.value("listen").map(|value| &*value.text), Some("127.0.0.1:8080"));
    }

    #[test]
    fn a_file_that_is_not_toml_names_its_line_and_quotes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"a:1\"\nadmin_token = hunter2hunter2\n").unwrap();
        let error = Layers::read(&SETTINGS, Some(file.path()), |_| None).unwrap_err().to_string();
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
        let layers = Layers::read(&SETTINGS, Some(file.path()), |_| None).unwrap();
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
