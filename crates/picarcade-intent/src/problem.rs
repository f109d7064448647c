//! What is wrong in a decision matrix or a model catalogue, and where.
//!
//! Whoever edits such a file wants every problem of it at once, with the place to mend, so checking collects problems
//! instead of stopping at the first one.

use std::fmt;

use serde::Serialize;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file can be used, but part of it does nothing or does something odd.
    Warning,
    /// The file cannot be used.
    Error,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1; for something that is missing, the line where it could be added.
    pub line: u64,
    /// The column or key by its name, or by its number from 1 where it has none.
    pub column: String,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
}

impl Problem {
    pub(crate) fn error(line: u64, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, line, column: column.into(), message: message.into() }
    }

    pub(crate) fn warning(line: u64, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(line, column, message) }
    }

    /// Whether the file cannot be used because of it.
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
