//! Keys: 256 bits of BLAKE3 over everything that a value depends on.
//!
//! Hashing keeps the words of users out of Redis, logs and memory dumps, and gives every key the
//! same size. Each part is prefixed with its length, so `("ab", "c")` and `("a", "bc")` differ. A
//! key begins with a namespace and a schema version, so two kinds of values never share a key. A
//! collision takes 2^128 keys.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// The identity of a cached value.
///
/// ```
/// use picarcade_cache::Key;
/// let key = Key::builder("intent", 1).part("make the sky purple").part_u64(7).finish();
/// assert_eq!(key, Key::builder("intent", 1).part("make the sky purple").part_u64(7).finish());
/// assert_ne!(key, Key::builder("intent", 2).part("make the sky purple").part_u64(7).finish());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// Starts a key. Raise `schema_version` when the meaning of the value changes, so that old
    /// values are not found.
    pub fn builder(namespace: &str, schema_version: u32) -> KeyBuilder {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(namespace.len() as u64).to_le_bytes());
        hasher.update(namespace.as_bytes());
        hasher.update(&schema_version.to_le_bytes());
        KeyBuilder { hasher }
    }

    /// Returns a key of 32 bytes that are already uniformly distributed.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns eight of the bytes as a number, which is as good as any hash of the key.
    pub(crate) fn short(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Returns 64 characters of lower-case hexadecimal.
    pub(crate) fn hex(&self) -> impl std::ops::Deref<Target = str> + use<> {
        blake3::Hash::from_bytes(self.0).to_hex()
    }

    /// Returns two other bytes, independent of [`Key::short`], to spread counters and locks.
    pub(crate) fn stripe(&self) -> usize {
        let [.., a, b] = self.0;
        usize::from(u16::from_le_bytes([a, b]))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.short());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for Key {
    /// Writes 64 characters of lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// A builder that takes the parts of a [`Key`] in order. It allocates nothing.
#[derive(Clone)]
pub struct KeyBuilder {
    hasher: blake3::Hasher,
}

impl KeyBuilder {
    /// Adds a part.
    #[must_use]
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.hasher.update(&(part.len() as u64).to_le_bytes());
        self.hasher.update(part);
        self
    }

    /// Adds a number. It differs from its eight bytes as a [`KeyBuilder::part`].
    #[must_use]
    pub fn part_u64(mut self, part: u64) -> Self {
        // A length that no slice can have separates numbers from slices.
        self.hasher.update(&u64::MAX.to_le_bytes());
        self.hasher.update(&part.to_le_bytes());
        self
    }

    /// Returns the key of all parts so far.
    pub fn finish(&self) -> Key {
        Key(*self.hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBuilder").finish_non_exhaustive()
    }
}

/// A hasher for maps over [`Key`], which returns the key itself: a key is a hash already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The builder of [`KeyHasher`]s.
pub(crate) type KeyHash = std::hash::BuildHasherDefault<KeyHasher>;

#[cfg(test)]
mod tests {
    use super::Key;
    use proptest::prelude::*;

    proptest! {
        /// Two lists of parts have the same key only if they are equal.
        #[test]
        fn different_parts_have_different_keys(
            a in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 0..5),
            b in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 0..5),
        ) {
            let key = |parts: &[Vec<u8>]| {
                parts.iter().fold(Key::builder("n", 1), super::KeyBuilder::part).finish()
            };
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }
    }

    #[test]
    fn namespaces_versions_and_kinds_of_parts_have_different_keys() {
        let keys = [
            Key::builder("n", 1).finish(),
            Key::builder("n", 2).finish(),
            Key::builder("m", 1).finish(),
            Key::builder("n", 1).part("").finish(),
            Key::builder("n", 1).part_u64(5).finish(),
            Key::builder("n", 1).part(5_u64.to_le_bytes()).finish(),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }
}
