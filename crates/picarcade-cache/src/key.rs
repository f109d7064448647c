//! Keys: 256 bits of BLAKE3 over what the value depends on.
//!
//! Hashing keeps users' words out of Redis, logs and memory dumps, and makes every key the same size. Parts are
//! length-prefixed, so that `("ab", "c")` and `("a", "bc")` differ, and begin with a namespace and a schema version, so
//! that two kinds of values never meet at one key. A collision takes 2^128 keys.

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
    /// Begins a key. Raise `schema_version` when the meaning of the value changes: old values are then not found.
    pub fn builder(namespace: &str, schema_version: u32) -> KeyBuilder {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(namespace.len() as u64).to_le_bytes());
        hasher.update(namespace.as_bytes());
        hasher.update(&schema_version.to_le_bytes());
        KeyBuilder { hasher }
    }

    /// A key from 32 bytes that are already uniformly distributed.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Eight of the bytes as a number: as good as any hash of the key.
    pub(crate) fn short(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Lower-case hexadecimal, 64 characters.
    pub(crate) fn hex(&self) -> impl std::ops::Deref<Target = str> + use<> {
        blake3::Hash::from_bytes(self.0).to_hex()
    }

    /// Another eight, independent of [`Key::short`], to spread counters and locks.
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
    /// Lower-case hexadecimal, 64 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// Takes the parts of a [`Key`] in order. Allocates nothing.
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

    /// Adds a number. Not the same as adding its eight bytes by [`KeyBuilder::part`].
    #[must_use]
    pub fn part_u64(mut self, part: u64) -> Self {
        // A length that no slice can have tells numbers and slices apart.
        self.hasher.update(&u64::MAX.to_le_bytes());
        self.hasher.update(&part.to_le_bytes());
        self
    }

    /// The key of all parts so far.
    pub fn finish(&self) -> Key {
        Key(*self.hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBuilder").finish_non_exhaustive()
    }
}

/// The hasher of maps over [`Key`]: a key is a hash already.
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

/// Builds [`KeyHasher`]s.
pub(crate) type KeyHash = std::hash::BuildHasherDefault<KeyHasher>;

#[cfg(test)]
mod tests {
    use super::Key;
    use proptest::prelude::*;

    proptest! {
        /// Two lists of parts give one key only if they are the same list.
        #[test]
        fn parts_are_told_apart(
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
    fn namespaces_versions_and_kinds_are_told_apart() {
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
