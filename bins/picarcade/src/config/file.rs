//! The TOML file.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Line, Origin};
use super::setting::Setting;

/// One value of the file, as the text that the environment would have.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Reads the values of these settings from the file.
pub(super) fn read(settings: &[Setting], path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
    let file = File { settings, path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| ConfigError::NotToml {
        path: path.to_owned(),
        line: file.line(error.span().map_or(0, |span| span.start)),
        // The error's own text quotes the line, which may hold a secret.
        reason: error.message().lines().next().unwrap_or("is not TOML").to_owned(),
    })?;
    let mut entries = Vec::new();
    file.read_table("", table.get_ref(), &mut entries)?;
    Ok(entries)
}

/// The configuration file.
struct File<'a> {
    settings: &'a [Setting],
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// Returns the line of a byte.
    fn line(&self, at: usize) -> Line {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn unknown(&self, key: String, line: Line) -> ConfigError {
        ConfigError::UnknownKey { key, path: self.path.to_owned(), line }
    }

    /// Adds the values of a table, whose keys begin with `prefix`, to the entries.
    fn read_table(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        entries: &mut Vec<Entry>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let line = self.line(name.span().start);
            let key = format!("{prefix}{}", name.get_ref());
            let inner = format!("{key}.");
            let is_setting = self.settings.iter().any(|setting| setting.key == key);
            let is_table = self.settings.iter().any(|setting| setting.key.starts_with(&inner));
            match value.get_ref() {
                // A quoted name may have a dot, but no setting has such a name.
                _ if name.get_ref().contains('.') => return Err(self.unknown(key, line)),
                DeValue::Table(table) if is_table => self.read_table(&inner, table, entries)?,
                value if is_setting => {
                    let origin = Origin::File(self.path.to_owned(), line);
                    let text = scalar(&key, value, &origin)?;
                    entries.push(Entry { key, text, origin });
                }
                _ => return Err(self.unknown(key, line)),
            }
        }
        Ok(())
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
