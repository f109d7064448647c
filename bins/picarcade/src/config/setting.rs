//! The declaration of one setting. Each file of this folder declares the settings that it parses.

/// The prefix of our own variables, which the keys do not have.
pub(super) const PREFIX: &str = "PICARCADE_";

/// One setting.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The key in the TOML file; dots separate the names of tables.
    pub(crate) key: String,
    /// The environment variable, which overrides the file. `None` if only the file has the setting.
    pub(crate) variable: Option<String>,
    /// The value if neither is set. `None` means that the setting is off.
    pub(crate) default: Option<&'static str>,
    /// How its value may be shown.
    pub(crate) shown: Shown,
}

/// How a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As it is.
    Plainly,
    /// Not at all.
    Redacted,
    /// Without the user and the password of the URL.
    UrlWithoutCredentials,
}

impl Setting {
    /// Returns the setting with this default.
    pub(super) fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// Returns a setting that is shown as it is.
pub(super) fn plain(variable: &str) -> Setting {
    of_variable(variable, Shown::Plainly)
}

/// Returns a setting that is never shown.
pub(super) fn secret(variable: &str) -> Setting {
    of_variable(variable, Shown::Redacted)
}

/// Returns a setting that is a URL, whose credentials are not shown.
pub(super) fn url(variable: &str) -> Setting {
    of_variable(variable, Shown::UrlWithoutCredentials)
}

/// Returns a setting that only the file has.
pub(super) fn in_file(key: String) -> Setting {
    Setting { key, variable: None, default: None, shown: Shown::Plainly }
}

/// Returns the key of a variable: its name in lower case, without our prefix.
pub(super) fn key_of(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase()
}

fn of_variable(variable: &str, shown: Shown) -> Setting {
    Setting { key: key_of(variable), variable: Some(variable.to_owned()), default: None, shown }
}
