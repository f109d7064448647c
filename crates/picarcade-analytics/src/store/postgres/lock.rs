//! The keys of the advisory locks.

/// The class of the locks: the letters `pica`.
pub(super) const LOCK_CLASS: i32 = 0x7069_6361;
/// Held in shared mode by every transaction that writes events. The roll-up takes it exclusively to
/// wait until they have ended.
pub(super) const LOCK_WRITERS: i32 = 1;
/// Held by the instance that runs maintenance.
pub(super) const LOCK_MAINTENANCE: i32 = 2;
/// Held by a migration.
pub(super) const LOCK_MIGRATION: i32 = 3;
/// Held while partitions are created or dropped.
pub(super) const LOCK_PARTITIONS: i32 = 4;
