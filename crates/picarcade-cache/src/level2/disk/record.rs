//! What the store keeps on disk: names of records and their bytes.
//!
//! Every record carries a checksum over its name and its content. A file that was damaged, or pages
//! that were exchanged, therefore never give the value of another key.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::{
    Key,
    level2::remote::{KeyVersion, Scope},
};

/// The name of a record in its table: the space and the key or scope.
pub(super) type Name = Vec<u8>;

/// The bytes of a record before its entry.
const HEAD: usize = 4 + 8 + 8 + 8 + 1;

/// The content of a key on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) version: KeyVersion,
    pub(super) expires_ms: u64,
    /// The place in the order of writes.
    pub(super) sequence: u64,
    /// `None` is a tombstone.
    pub(super) entry: Option<Bytes>,
}

impl Stored {
    pub(super) fn encode(&self, name: &[u8]) -> Vec<u8> {
        let entry = self.entry.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(HEAD + entry.len());
        out.extend([0; 4]);
        out.extend(self.version.0.to_le_bytes());
        out.extend(self.expires_ms.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.push(u8::from(self.entry.is_some()));
        out.extend(entry);
        let sum = out.get(4..).map_or(0, |rest| checksum(name, rest));
        for (place, byte) in out.iter_mut().zip(sum.to_le_bytes()) {
            *place = byte;
        }
        out
    }

    /// Decodes a record. Returns `None` if it is not what was written under this name.
    pub(super) fn decode(name: &[u8], bytes: &[u8]) -> Option<Self> {
        let (sum, rest) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != checksum(name, rest) {
            return None;
        }
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (kind, entry) = rest.split_first()?;
        Some(Self {
            version: KeyVersion(u64::from_le_bytes(*version)),
            expires_ms: u64::from_le_bytes(*expires),
            sequence: u64::from_le_bytes(*sequence),
            entry: (*kind == 1).then(|| Bytes::copy_from_slice(entry)),
        })
    }
}

/// A version of a scope on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredVersion {
    pub(super) version: u64,
    pub(super) expires_ms: u64,
}

impl StoredVersion {
    pub(super) fn encode(self, name: &[u8]) -> Vec<u8> {
        let rest = [self.version.to_le_bytes(), self.expires_ms.to_le_bytes()].concat();
        [&checksum(name, &rest).to_le_bytes()[..], &rest].concat()
    }

    pub(super) fn decode(name: &[u8], bytes: &[u8]) -> Option<Self> {
        let (sum, rest) = bytes.split_first_chunk::<4>()?;
        let (version, expires) = rest.split_first_chunk::<8>()?;
        (u32::from_le_bytes(*sum) == checksum(name, rest)).then_some(Self {
            version: u64::from_le_bytes(*version),
            expires_ms: u64::from_le_bytes(expires.try_into().ok()?),
        })
    }
}

/// A row of the order of writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// How many bytes the record counts as.
    pub(super) size: u64,
    pub(super) expires_ms: u64,
    /// Until then, only removals may evict the record, because it rejects writes from before an
    /// invalidation.
    pub(super) protected_until_ms: u64,
    pub(super) name: Name,
}

impl Placed {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.name.len());
        out.extend(self.size.to_le_bytes());
        out.extend(self.expires_ms.to_le_bytes());
        out.extend(self.protected_until_ms.to_le_bytes());
        out.extend(&self.name);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (protected, name) = rest.split_first_chunk::<8>()?;
        Some(Self {
            size: u64::from_le_bytes(*size),
            expires_ms: u64::from_le_bytes(*expires),
            protected_until_ms: u64::from_le_bytes(*protected),
            name: name.to_vec(),
        })
    }
}

fn checksum(name: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name);
    hasher.update(rest);
    hasher.finalize()
}

/// Returns the name of a key.
pub(super) fn entry_name(space: &str, key: &Key) -> Name {
    [space.as_bytes(), &[0], key.as_bytes()].concat()
}

/// Returns the name of a scope. The name of the whole space is a prefix of those of its tags.
pub(super) fn version_name(space: &str, scope: Scope) -> Name {
    match scope {
        Scope::All => [space.as_bytes(), &[0]].concat(),
        Scope::Tag(tag) => [space.as_bytes(), &[0], &tag.id().to_be_bytes()].concat(),
    }
}

/// Returns the time of the system in milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

/// Returns a duration in whole milliseconds, at least one.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Placed, Stored, StoredVersion};
    use crate::KeyVersion;
    use bytes::Bytes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_is_read_under_its_own_name_only(
            name in proptest::collection::vec(any::<u8>(), 1..40),
            entry in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
            version: u64, at: prop::sample::Index,
        ) {
            let stored = Stored {
                version: KeyVersion(version), expires_ms: 5, sequence: 7, entry: entry.map(Bytes::from),
            };
            let bytes = stored.encode(&name);
            prop_assert_eq!(Stored::decode(&name, &bytes), Some(stored));
            prop_assert_eq!(Stored::decode(b"", &bytes), None);
            let mut damaged = bytes.clone();
            damaged[at.index(bytes.len())] ^= 1;
            prop_assert_eq!(Stored::decode(&name, &damaged), None);
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (Stored::decode(b"n", &bytes), Placed::decode(&bytes));
            prop_assert_eq!(StoredVersion::decode(b"n", &bytes), None);
        }
    }

    #[test]
    fn versions_and_places_are_read_back() {
        let version = StoredVersion { version: 3, expires_ms: 4 };
        assert_eq!(StoredVersion::decode(b"n", &version.encode(b"n")), Some(version));
        let placed = Placed { size: 1, expires_ms: 2, protected_until_ms: 3, name: b"name".to_vec() };
        assert_eq!(Placed::decode(&placed.encode()), Some(placed));
    }
}
