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

use serde::Serialize;

use crate::error::KeyError;

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

    /// Returns the key of a serializable value: a struct, a tuple, a number, an option.
    ///
    /// Two values of one type have the same key if they have the same JSON. The order of the
    /// entries of a map does not count. JSON has one `null` for `None`, `Some(None)` and a float
    /// that is not a number, so these have the same key.
    ///
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Request<'a> {
    ///     prompt: &'a str,
    ///     seed: Option<u64>,
    /// }
    /// # fn main() -> Result<(), picarcade_cache::KeyError> {
    /// use picarcade_cache::Key;
    /// let a = Key::of("images", 1, &Request { prompt: "a fox", seed: Some(7) })?;
    /// let b = Key::of("images", 1, &Request { prompt: "a fox", seed: None })?;
    /// assert_ne!(a, b);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`KeyError`] if the value has no JSON, such as a map with tuples as keys.
    pub fn of<T: Serialize + ?Sized>(
        namespace: &str,
        schema_version: u32,
        value: &T,
    ) -> Result<Self, KeyError> {
        Ok(Self::builder(namespace, schema_version).value(value)?.finish())
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

    /// Adds a serializable value, as [`Key::of`] does. It differs from its JSON as a
    /// [`KeyBuilder::part`], and `7` differs from `"7"`. It allocates the JSON.
    ///
    /// # Errors
    ///
    /// Returns a [`KeyError`] if the value has no JSON.
    pub fn value<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, KeyError> {
        // Through a tree, because a hash map writes its entries in another order in each process.
        let mut json = serde_json::to_value(value).map_err(KeyError::new)?;
        json.sort_all_objects();
        self.hasher.update(&(u64::MAX - 1).to_le_bytes());
        Ok(self.part(json.to_string()))
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
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

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
    fn values_of_other_types_or_with_other_json_have_different_keys() {
        let keys = [
            Key::of("n", 1, &7).unwrap(),
            Key::of("n", 1, "7").unwrap(),
            Key::of("n", 1, &7.5).unwrap(),
            Key::of("n", 1, &true).unwrap(),
            Key::of("n", 1, &Some("")).unwrap(),
            Key::of("n", 1, &None::<u8>).unwrap(),
            Key::of("n", 1, &("a", "bc")).unwrap(),
            Key::of("n", 1, &("ab", "c")).unwrap(),
            Key::builder("n", 1).value("a").unwrap().value("bc").unwrap().finish(),
            Key::builder("n", 1).value("ab").unwrap().value("c").unwrap().finish(),
            Key::builder("n", 1).part("7").finish(),
            Key::builder("n", 1).part_u64(7).finish(),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn the_order_of_a_map_does_not_count() {
        let key = |names: [&str; 3]| {
            // Each map has a random order of its own.
            let map: HashMap<_, _> = names.into_iter().map(|name| (name, [name])).collect();
            Key::of("n", 1, &map).unwrap()
        };
        assert_eq!(key(["a", "b", "c"]), key(["c", "a", "b"]));
    }

    #[test]
    fn a_value_without_json_is_an_error() {
        let map = HashMap::from([((1, 2), 3)]);
        assert!(Key::of("n", 1, &map).unwrap_err().to_string().contains("key must be a string"));
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
