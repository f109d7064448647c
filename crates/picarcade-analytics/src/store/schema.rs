//! The version of a database's schema.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The names of the migrations, oldest first. The version of a schema is the number of its
/// migrations.
pub(crate) const SCHEMA_VERSIONS: [&str; 3] = ["tables", "feedback", "requests"];

/// The schema of a database compared with this build. A version counts migrations; 0 is an empty
/// database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SchemaState {
    /// The schema is that of this build.
    Current {
        /// The version.
        version: i64,
    },
    /// The database is older: migrate it.
    Behind {
        /// The number of applied migrations.
        applied: i64,
        /// The number of migrations of this build.
        known: i64,
    },
    /// The database is newer: use a newer build.
    Ahead {
        /// The number of applied migrations.
        applied: i64,
        /// The number of migrations of this build.
        known: i64,
    },
}

impl SchemaState {
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn compare(applied: i64, migrations: &[&str]) -> Self {
        let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
        match applied.cmp(&known) {
            Ordering::Less => Self::Behind { applied, known },
            Ordering::Greater => Self::Ahead { applied, known },
            Ordering::Equal => Self::Current { version: known },
        }
    }

    /// Returns whether the schema is that of this build.
    pub const fn is_current(self) -> bool {
        matches!(self, Self::Current { .. })
    }
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current { version } => write!(f, "version {version}, as expected"),
            Self::Behind { applied, known } => {
                write!(
                    f,
                    "it is at version {applied} and this build needs {known}: run the migrations with \
                     `picarcade migrate` or `Store::migrate`; missing are"
                )?;
                let is_missing = |(version, _): &(i64, &str)| version > applied && version <= known;
                for (index, (version, name)) in (1..).zip(SCHEMA_VERSIONS).filter(is_missing).enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {version} ({name})")?;
                }
                Ok(())
            }
            Self::Ahead { applied, known } => {
                write!(f, "it is at version {applied} and this build knows only {known}: use a newer build")
            }
        }
    }
}
