//! The name of a breaker, cheap to copy into a rejection.
//!
//! An open breaker under load creates one [`Rejected`](crate::Rejected) per call. With an
//! `Arc<str>`, every rejection on every core would write the same reference count. Short names,
//! which are the usual case, are therefore stored inline; longer ones share an allocation.

use std::{fmt, hash::Hash, ops::Deref, sync::Arc};

/// The maximum length in bytes of an inline name.
const INLINE: usize = 22;

/// The name of a breaker: a string that is cheap to clone (a plain copy up to 22 bytes).
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Arc<str>),
}

impl Name {
    /// Returns the name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // The bytes were copied whole from a `str`, so neither the range nor the decoding can
            // fail.
            Repr::Inline { len, bytes } => {
                bytes.get(..usize::from(*len)).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
            }
            Repr::Shared(name) => name,
        }
    }
}

impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..name.len()) {
            Some(slot) => {
                slot.copy_from_slice(name.as_bytes());
                Self(Repr::Inline { len: name.len() as u8, bytes })
            }
            None => Self(Repr::Shared(name)),
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::from(Arc::from(name))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_length_and_script_are_kept() {
        for name in
            ["", "anthropic", "exactly-22-bytes-long!", "twenty-three-bytes-long", "日本語の名前、とても長い"]
        {
            let kept = Name::from(name);
            assert_eq!(kept.as_str(), name);
        }
    }

    #[test]
    fn equality_ignores_how_a_name_is_stored() {
        let long = "a-name-that-is-longer-than-the-inline-space";
        let (a, b) = (Name::from(long), Name::from(long));
        assert_eq!(a, b);
        assert_eq!(&*a, long);
    }
}
