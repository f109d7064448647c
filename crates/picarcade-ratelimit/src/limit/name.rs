//! A short name without a heap allocation.
//!
//! A report of nine limits copies nine names. Copies of an inline name neither allocate nor touch a
//! reference count that other threads use. Names appear in response headers and metric labels, so
//! their length and characters are limited.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};

/// The longest name in bytes.
const MAX: usize = 39;

/// A name of at most 39 ASCII letters, digits, `-`, `_` and `.`, which dereferences to `&str`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    length: u8,
    bytes: [u8; MAX],
}

impl Name {
    /// Returns the name, or `None` if `text` is empty, too long, or has other characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || !text.as_bytes().iter().all(plain) {
            return None;
        }
        let mut bytes = [0; MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { length: text.len() as u8, bytes })
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Both steps succeed by construction.
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_empty_too_long_or_not_plain_are_rejected() {
        assert_eq!(Name::new("user-requests-60s").unwrap(), "user-requests-60s");
        assert_eq!(Name::new(&"x".repeat(MAX)).unwrap().len(), MAX);
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(MAX + 1)] {
            assert_eq!(Name::new(bad), None, "{bad}");
        }
    }
}
