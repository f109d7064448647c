//! An event with its identity, as the queue, the spool and the stores pass it on.
//!
//! The identity is a `UUIDv7` (RFC 9562, §5.7) whose 12 bits after the milliseconds contain the
//! sub-millisecond fraction (§6.2, method 3). Delivery may repeat, and the id makes repetition
//! harmless. `created_at` is read from the id, so the two never disagree, not even in a partitioned
//! table whose key must contain both.
//!
//! The random part comes from a per-thread generator that the operating system seeds: ids must be
//! distinct, not secret.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::{Error, Event, timestamp};

/// An event and its id, which contains its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// `UUIDv7`: unique, ordered by time.
    pub id: Uuid,
    /// The event.
    pub event: Event,
}

impl Record {
    /// Creates a record at `created_at` (microseconds since the Unix epoch).
    pub fn new(created_at: i64, event: Event) -> Self {
        Self { id: new_id_at(created_at), event }
    }

    /// Returns the microseconds since the Unix epoch, from the id.
    pub fn created_at(&self) -> i64 {
        created_at(self.id)
    }

    /// Returns the bytes in memory, for the bound of the queue.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.event.heap_bytes()
    }

    /// Appends the JSON of the record: one line, readable in a spool or a dead-letter file.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) -> Result<(), Error> {
        serde_json::to_writer(into, self).map_err(|_| Error::Corrupt { what: "event" })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::Corrupt { what: "event" })
    }
}

/// Returns a new id: a `UUIDv7` of the current time.
///
/// Ids of two calls are distinct, also in different processes, but not secret. A call does not
/// enter the kernel for random bytes.
pub fn new_id() -> Uuid {
    new_id_at(timestamp::micros(SystemTime::now()))
}

/// Returns a new id for `created_at` (microseconds since the Unix epoch).
pub(crate) fn new_id_at(created_at: i64) -> Uuid {
    id_at(created_at, fastrand::u64(..))
}

fn id_at(created_at: i64, random: u64) -> Uuid {
    let at = created_at.max(0) as u64;
    let (millis, sub_millis) = (at / 1_000, at % 1_000);
    // Rounded up, so that reading the fraction with rounding down gives the same microsecond.
    let fraction = (sub_millis * 4_096).div_ceil(1_000) as u16;
    let mut tail = [0; 10];
    let (rand_a, rand_b) = tail.split_at_mut(2);
    rand_a.copy_from_slice(&fraction.to_be_bytes());
    rand_b.copy_from_slice(&random.to_be_bytes());
    Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

/// Returns the microseconds since the Unix epoch, from an id of this module.
pub(crate) fn created_at(id: Uuid) -> i64 {
    let bits = id.as_u128();
    let millis = (bits >> 80) as i64;
    let fraction = ((bits >> 64) & 0xfff) as i64;
    millis * 1_000 + fraction * 1_000 / 4_096
}

/// Returns another id of the same time that follows from the first, for a row of the same event in
/// a second table.
pub(crate) const fn paired_id(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128() ^ 1)
}

/// Returns the smallest id of a time: ids sort by `created_at`, so a range of time is a range of
/// ids.
#[cfg(any(test, feature = "sqlite"))]
pub(crate) fn first_id_at(created_at: i64) -> Uuid {
    id_at(created_at, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_time_is_in_the_id(at in 0..(1_i64 << 47), random: u64) {
            let id = id_at(at, random);
            prop_assert_eq!(created_at(id), at);
            prop_assert_eq!(id.get_version_num(), 7);
            prop_assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }

        #[test]
        fn ids_sort_by_time(a in 0..(1_i64 << 47), b in 0..(1_i64 << 47), x: u64, y: u64) {
            prop_assume!(a < b);
            prop_assert!(id_at(a, x) < id_at(b, y));
            prop_assert!(first_id_at(a) <= id_at(a, x));
            prop_assert!(id_at(a, x) < first_id_at(b));
        }
    }
}
