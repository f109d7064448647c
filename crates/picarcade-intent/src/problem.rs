//! Problems of a decision matrix or a model catalogue, with their place.
//!
//! The editor of such a file needs every problem at once, with its place. Checking therefore
//! collects problems instead of stopping at the first one.

use std::fmt;

use serde::Serialize;

/// The severity of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file can be used, but part of it has no effect or a surprising one.
    Warning,
    /// The file cannot be used.
    Error,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1. For a missing item, the line where it could be added.
    pub line: u64,
    /// The column or key by its name, or by its number from 1 without a name.
    pub column: String,
    /// The description, in lower case and without a full stop.
    pub message: String,
}

impl Problem {
    pub(crate) fn error(line: u64, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, line, column: column.into(), message: message.into() }
    }

    pub(crate) fn warning(line: u64, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(line, column, message) }
    }

    /// Returns whether the file cannot be used because of this problem.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str(", warning")?;
        }
        write!(f, ": {}", self.message)
    }
}
