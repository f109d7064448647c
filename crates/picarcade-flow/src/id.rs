//! The ids that callers choose: of users and of sessions.
//!
//! Both follow one rule: not blank, at most [`MAX_ID_BYTES`] long, no control characters. It is
//! checked once, when the text becomes an id.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::error::FieldProblem;

/// The longest id, in bytes: the longest subject of a limit.
pub const MAX_ID_BYTES: usize = picarcade_ratelimit::MAX_SUBJECT_BYTES;

/// Why a text is no id. It is displayed as what the text must be, without the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty, or white space only.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_BYTES`].
    #[error("must have at most {MAX_ID_BYTES} bytes")]
    TooLong,
    /// The text contains a control character.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl IdError {
    /// Returns the problem of the field at `pointer` that contains the text.
    pub fn at(self, pointer: impl Into<String>) -> FieldProblem {
        FieldProblem::new(pointer, self.to_string())
    }
}

/// Checks the rule for ids.
pub(crate) fn check_id(text: &str) -> Result<(), IdError> {
    if text.trim().is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(IdError::ControlCharacter)
    } else {
        Ok(())
    }
}

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check_id(text).map(|()| Self(Arc::from(text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

id_type! {
    /// The id of an end user. Clones share their text.
    ///
    /// ```
    /// use picarcade_flow::{IdError, UserId};
    /// let user: UserId = "ann".parse()?;
    /// assert_eq!(user.as_str(), "ann");
    /// assert_eq!("a\nb".parse::<UserId>(), Err(IdError::ControlCharacter));
    /// # Ok::<(), IdError>(())
    /// ```
    UserId
}

id_type! {
    /// The id of a session, chosen by the caller. Clones share their text.
    SessionId
}

impl UserId {
    /// Returns the user of a request that names none.
    pub fn anonymous() -> Self {
        Self(Arc::from("anonymous"))
    }

    /// Returns the text of the id, shared with this id.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_neither_blank_nor_too_long_and_has_no_control_characters() {
        let long = "é".repeat(MAX_ID_BYTES / 2 + 1);
        for (text, expected) in [
            ("", IdError::Empty),
            (" \u{3000}", IdError::Empty),
            ("\n", IdError::Empty),
            ("a\u{7}", IdError::ControlCharacter),
            (&long, IdError::TooLong),
        ] {
            assert_eq!(text.parse::<UserId>(), Err(expected), "{text:?}");
            assert_eq!(SessionId::try_from(text.to_owned()), Err(expected), "{text:?}");
            assert!(serde_json::from_value::<SessionId>(text.into()).is_err(), "{text:?}");
        }
        for text in ["a", " ann ", &"é".repeat(MAX_ID_BYTES / 2), UserId::anonymous().as_str()] {
            let user: UserId = text.parse().unwrap();
            assert_eq!(serde_json::to_value(&user).unwrap(), *text);
            assert_eq!(serde_json::from_value::<UserId>(text.into()).unwrap(), user);
        }
    }
}
