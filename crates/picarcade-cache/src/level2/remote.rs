//! The second level as the cache needs it.
//!
//! The trait is about opaque bytes and 64-bit versions, so an implementation knows nothing of
//! values, stamps or tags. `tests/it/conformance.rs` runs its contract against every
//! implementation:
//!
//! - **Key versions.** A key has the version [`KeyVersion::NONE`] until its first removal or
//!   replacement, and a new random version with each of them. [`Remote::write`] stores an entry
//!   only if the version is still the one that was read, so a load that began before a removal
//!   cannot write after it. The caller says how long the tombstone of a removal lasts.
//! - **Tag versions.** A tag and the whole space have versions too. A removal of everything, or of
//!   everything with a tag, changes the version. Every entry names the versions that it was loaded
//!   under, and a reader compares them.
//! - **Leases** only save money: losing one costs a second load, never a wrong value.
//! - **Events** are delivered at most once, and report when some may be missing.
//! - No call blocks for ever: the implementation has a deadline of its own for each.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Key, RemoteError, tag::Tag};

/// How long a write may wait until the second level is back. Tombstones last longer, so a write
/// that waited cannot bring back a value that was removed meanwhile.
pub const REPLAY_WINDOW: Duration = Duration::from_secs(240);

/// The version of a key, which changes with every removal and replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyVersion(pub u64);

impl KeyVersion {
    /// The key was never removed, or so long ago that no load from before can still run.
    pub const NONE: Self = Self(0);

    /// Returns a new version.
    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }
}

/// The version of a tag or of the whole space, which changes with every invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TagVersion(pub u64);

impl TagVersion {
    /// There was no invalidation, or only so long ago that no entry from before can still exist.
    pub const NONE: Self = Self(0);

    /// Returns a new version.
    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }
}

/// The content of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The version to pass to [`Remote::write`].
    pub version: KeyVersion,
    /// The entry, or `None` if there is none or it was removed.
    pub entry: Option<Bytes>,
}

/// A set of entries that is invalidated at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All entries of the space.
    All,
    /// All entries with this tag.
    Tag(Tag),
}

/// An event of a subscription to the other instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteEvent {
    /// The subscription is active from now on.
    Connected,
    /// A message of [`Remote::publish`], also one of this instance.
    Message(Bytes),
    /// Messages may be missed until the next `Connected`.
    Lost,
}

/// A second level that instances share. The `space` of each call is the name of the cache.
#[async_trait]
pub trait Remote: Send + Sync + fmt::Debug + 'static {
    /// Returns the content of a key.
    async fn read(&self, space: &str, key: &Key) -> Result<Record, RemoteError>;

    /// Stores an entry for `lifetime` if the version of the key is still `seen`. Returns whether it
    /// was.
    ///
    /// While the second level is unavailable, the implementation may keep the write and repeat it
    /// within [`REPLAY_WINDOW`]. It returns the error in either case.
    async fn write(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
        seen: KeyVersion,
    ) -> Result<bool, RemoteError>;

    /// Stores an entry under a new version, so that loads under way do not overwrite it.
    async fn replace(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
    ) -> Result<(), RemoteError>;

    /// Removes the entry of a key and leaves a tombstone with a new version for `tombstone`.
    ///
    /// # Errors
    ///
    /// Returns an error if the removal is not possible now. The implementation then removes the
    /// entry as soon as it can, and before the key is read again.
    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError>;

    /// Returns the current versions of scopes, in order.
    async fn tag_versions(&self, space: &str, scopes: &[Scope]) -> Result<Vec<TagVersion>, RemoteError>;

    /// Gives a scope a new version for `lifetime`, which is longer than any entry lives.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`Remote::remove`], with the same promise.
    async fn invalidate(&self, space: &str, scope: Scope, lifetime: Duration) -> Result<(), RemoteError>;

    /// Takes the lease of a key if it is free. Returns whether `token` holds it now.
    ///
    /// # Errors
    ///
    /// Also returns an error if the lease could be taken but not be given back. The cache then
    /// loads without leases.
    async fn acquire(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError>;

    /// Extends a lease. Returns whether `token` still held it.
    async fn renew(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError>;

    /// Gives a lease back if `token` still holds it.
    async fn release(&self, space: &str, key: &Key, token: u64) -> Result<(), RemoteError>;

    /// Publishes a message to all instances.
    async fn publish(&self, space: &str, message: Bytes) -> Result<(), RemoteError>;

    /// Subscribes to the messages of all instances until the receiver is dropped.
    fn subscribe(&self, space: &str) -> mpsc::Receiver<RemoteEvent>;
}
