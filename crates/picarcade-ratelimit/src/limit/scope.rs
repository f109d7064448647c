//! Whose limit it is: the scopes, and the subjects of one request in them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::parse::ParseError;
use crate::Error;

/// The longest subject in bytes. A longer one is an error: memory per subject is bounded.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// Whose requests and dollars a limit counts. Counters are locked in the order of the scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scope {
    /// One end user.
    User,
    /// One API key, with all users that it acts for.
    ApiKey,
    /// One endpoint, all callers together.
    Endpoint,
    /// Everything together.
    Global,
}

impl Scope {
    /// The number of scopes.
    pub const COUNT: usize = Self::Global as usize + 1;

    /// All scopes, in the order in which reports list them.
    pub const ALL: [Self; Self::COUNT] = [Self::User, Self::ApiKey, Self::Endpoint, Self::Global];

    /// Returns `USER`, `API_KEY`, `ENDPOINT` or `GLOBAL`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::ApiKey => "API_KEY",
            Self::Endpoint => "ENDPOINT",
            Self::Global => "GLOBAL",
        }
    }

    /// Returns the first word of a limit's name.
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

/// Parses the name, in capital or small letters.
///
/// ```
/// use picarcade_ratelimit::Scope;
/// assert_eq!("api_key".parse(), Ok(Scope::ApiKey));
/// assert!("team".parse::<Scope>().is_err());
/// ```
impl FromStr for Scope {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| ParseError::new("a scope must be user, api_key, endpoint or global"))
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One value for each scope.
#[derive(Debug, Clone)]
pub(crate) struct PerScope<T>([T; Scope::COUNT]);

impl<T> PerScope<T> {
    pub(crate) fn new(make: impl FnMut(Scope) -> T) -> Self {
        Self(Scope::ALL.map(make))
    }

    #[inline]
    pub(crate) fn of(&self, scope: Scope) -> &T {
        // A scope is below their number, so the compiler omits the bounds check.
        &self.0[scope as usize]
    }

    /// Returns each scope with its value, in the order of the scopes.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Scope, &T)> {
        Scope::ALL.into_iter().zip(&self.0)
    }
}

/// The subjects of a request, one in each scope. The limits of a scope without a subject do not
/// apply. [`Scope::Global`] always applies.
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
    /// Sets the id of the end user.
    #[must_use]
    pub fn user(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// Sets the **name** of the API key, never the key itself: subjects appear in the store.
    #[must_use]
    pub fn api_key(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.api_key = Some(name.into());
        self
    }

    /// Sets the name of the endpoint.
    #[must_use]
    pub fn endpoint(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.endpoint = Some(name.into());
        self
    }

    /// Returns the subject in `scope`, which is the empty string for [`Scope::Global`].
    #[must_use]
    pub fn of(&self, scope: Scope) -> Option<&str> {
        match scope {
            Scope::User => self.user.as_deref(),
            Scope::ApiKey => self.api_key.as_deref(),
            Scope::Endpoint => self.endpoint.as_deref(),
            Scope::Global => Some(""),
        }
    }

    /// Converts into subjects that own their names.
    #[must_use]
    pub fn into_owned(self) -> Subjects<'static> {
        let own = |name: Cow<'a, str>| Cow::Owned(name.into_owned());
        Subjects {
            user: self.user.map(own),
            api_key: self.api_key.map(own),
            endpoint: self.endpoint.map(own),
        }
    }

    /// Rejects subjects that could be confused with others or are too long to be stored.
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
    fn an_empty_or_oversized_subject_is_rejected_by_name() {
        assert_eq!(Subjects::default().user("").validate().unwrap_err().to_string(), "user is empty");
        let long = "x".repeat(MAX_SUBJECT_BYTES + 1);
        let error = Subjects::default().api_key(&long).validate().unwrap_err();
        assert_eq!(error.to_string(), "api_key is longer than 256 bytes");
        assert_eq!(Subjects::default().validate(), Ok(()));
    }
}
