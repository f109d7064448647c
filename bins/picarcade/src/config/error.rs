//! The origin of a value, and the error that names it.

use std::fmt;
use std::path::PathBuf;

/// The number of a line, from 1.
pub(super) type Line = usize;

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

fn suggestion(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!(": probably {meant} was meant"))
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
    #[error("unknown environment variable {name}{}", suggestion(.meant.as_deref()))]
    UnknownVariable { name: String, meant: Option<String> },
    #[error("{key} ({origin}): {reason}")]
    Wrong { key: String, origin: Origin, reason: String },
}
