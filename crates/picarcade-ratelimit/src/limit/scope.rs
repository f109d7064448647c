//! Whose limit it is: the four scopes, and the subjects of one request in them.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::Error;

/// The longest subject in bytes. A longer one is an error: memory per subject is bounded.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// Whose requests and dollars a limit counts. The order is also the order in which counters are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scope {
    /// One end user.
    User,
    /// One API key, whatever users it speaks for.
    ApiKey,
    /// One endpoint, all callers together.
    Endpoint,
    /// Everything together.
    Global,
}

impl Scope {
    /// All four, in the order in which reports name them.
    pub const ALL: [Self; 4] = [Self::User, Self::ApiKey, Self::Endpoint, Self::Global];

    /// `USER`, `API_KEY`, `ENDPOINT` or `GLOBAL`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::ApiKey => "API_KEY",
            Self::Endpoint => "ENDPOINT",
            Self::Global => "GLOBAL",
        }
    }

    /// The beginning of a limit's name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "key",
            Self::Endpoint => "endpoint",
            Self::Global => "global",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a request is, in each scope. A scope without a subject has no part in the decision: its limits do not apply.
/// [`Scope::Global`] always applies.
///
/// ```
/// use picarcade_ratelimit::{Scope, Subjects};
/// let subjects = Subjects::default().user("ada").endpoint("process");
/// assert_eq!(subjects.of(Scope::User), Some("ada"));
/// assert_eq!(subjects.of(Scope::ApiKey), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Subjects<'a> {
    user: Option<Cow<'a, str>>,
    api_key: Option<Cow<'a, str>>,
    endpoint: Option<Cow<'a, str>>,
}

impl<'a> Subjects<'a> {
    /// The end user's id.
    #[must_use]
    pub fn user(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// The **name** of the API key. Never the key itself: subjects appear in the store.
    #[must_use]
    pub fn api_key(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.api_key = Some(name.into());
        self
    }

    /// The endpoint's name.
    #[must_use]
    pub fn endpoint(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.endpoint = Some(name.into());
        self
    }

    /// The subject in `scope`; the empty string for [`Scope::Global`].
    #[must_use]
    pub fn of(&self, scope: Scope) -> Option<&str> {
        match scope {
            Scope::User => self.user.as_deref(),
            Scope::ApiKey => self.api_key.as_deref(),
            Scope::Endpoint => self.endpoint.as_deref(),
            Scope::Global => Some(""),
        }
    }

    /// The same subjects, owning their names.
    #[must_use]
    pub fn into_owned(self) -> Subjects<'static> {
        let own = |name: Cow<'a, str>| Cow::Owned(name.into_owned());
        Subjects {
            user: self.user.map(own),
            api_key: self.api_key.map(own),
            endpoint: self.endpoint.map(own),
        }
    }

    /// Refuses subjects that could not be told apart or would not fit.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (field, subject) in
            [("user", &self.user), ("api_key", &self.api_key), ("endpoint", &self.endpoint)]
        {
            match subject.as_deref() {
                Some("") => return Err(Error::Invalid { field, reason: "is empty" }),
                Some(name) if name.len() > MAX_SUBJECT_BYTES => {
                    return Err(Error::Invalid { field, reason: "is longer than 256 bytes" });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_oversized_subjects_are_named() {
        assert_eq!(Subjects::default().user("").validate().unwrap_err().to_string(), "user is empty");
        let long = "x".repeat(MAX_SUBJECT_BYTES + 1);
        let error = Subjects::default().api_key(&long).validate().unwrap_err();
        assert_eq!(error.to_string(), "api_key is longer than 256 bytes");
        assert_eq!(Subjects::default().validate(), Ok(()));
    }
}
