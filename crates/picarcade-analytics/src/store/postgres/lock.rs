//! The keys of the advisory locks.

/// Keys of the advisory locks: `pica` and a number.
pub(super) const LOCK_CLASS: i32 = 0x7069_6361;
/// Held, shared, by every transaction that writes events; taken alone to wait until those have ended.
pub(super) const LOCK_WRITERS: i32 = 1;
/// Held by the instance that keeps house.
pub(super) const LOCK_MAINTENANCE: i32 = 2;
/// Held while migrating.
pub(super) const LOCK_MIGRATION: i32 = 3;
/// Held while making or dropping partitions.
pub(super) const LOCK_PARTITIONS: i32 = 4;
