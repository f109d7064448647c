//! The TOML file.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Line, Origin};
use super::settings::{BREAKER_KEYS, BREAKER_NAMES, BREAKERS_TABLE, Setting};

/// One value of the file, as the text that the environment would have.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
    let file = File { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| ConfigError::NotToml {
        path: path.to_owned(),
        line: file.line(error.span().map_or(0, |span| span.start)),
        // The error's own text quotes the line, which may hold a secret.
        reason: error.message().lines().next().unwrap_or("is not TOML").to_owned(),
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let (line, name) = (file.line(key.span().start), &**key.get_ref());
        if name == BREAKERS_TABLE {
            entries.extend(file.breakers(value.get_ref(), line)?);
            continue;
        }
        let Some(setting) = Setting::of(name) else { return Err(file.unknown(name.to_owned(), line)) };
        entries.push(file.entry(setting.key.to_owned(), value.get_ref(), line)?);
    }
    Ok(entries)
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

    fn entry(&self, key: String, value: &DeValue<'_>, line: Line) -> Result<Entry, ConfigError> {
        let origin = self.origin(line);
        let text = scalar(&key, value, &origin)?;
        Ok(Entry { key, text, origin })
    }

    /// Returns the values of the tables that set single breakers.
    fn breakers(&self, value: &DeValue<'_>, line: Line) -> Result<Vec<Entry>, ConfigError> {
        let breakers = value.as_table().ok_or_else(|| self.unknown(BREAKERS_TABLE.to_owned(), line))?;
        let mut entries = Vec::new();
        for (name, fields) in breakers {
            let line = self.line(name.span().start);
            let prefix = format!("{BREAKERS_TABLE}.{}", name.get_ref());
            let known = BREAKER_NAMES.contains(&&**name.get_ref());
            let fields = fields.get_ref().as_table().filter(|_| known);
            for (field, value) in fields.ok_or_else(|| self.unknown(prefix.clone(), line))? {
                let line = self.line(field.span().start);
                let key = format!("{prefix}.{}", field.get_ref());
                if !BREAKER_KEYS.contains(&&**field.get_ref()) {
                    return Err(self.unknown(key, line));
                }
                entries.push(self.entry(key, value.get_ref(), line)?);
            }
        }
        Ok(entries)
    }
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
