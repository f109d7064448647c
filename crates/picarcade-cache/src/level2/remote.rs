//! The second level, as the cache needs it.
//!
//! The trait is about opaque bytes and 64-bit marks, so an implementation knows nothing of values, stamps or tags.
//! Its contract, which `tests/it/conformance.rs` runs against every implementation:
//!
//! - **Generations.** A key has a generation: [`Generation::NONE`] until its first removal or replacement, then a new
//!   random one with each. [`Remote::write`] stores only if the generation is still the one that was read; so a load that
//!   began before a removal cannot write after it. A removal is remembered for as long as its caller says.
//! - **Marks** are small named generations of the whole space: raised by `clear` and tag removals, read by those who check.
//! - **Leases** save money and nothing else: losing one costs a second load, never a wrong value.
//! - **Events** are at most once, and say when they may be incomplete.
//! - No call blocks for ever: each has a deadline of the implementation's own.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Key, RemoteError, tag::Tag};

/// How long a write may wait for the second level to come back. Tombstones live longer than that: a write that waited
/// cannot bring back what others removed meanwhile.
pub const REPLAY_WINDOW: Duration = Duration::from_mins(4);

/// Which removal or replacement of a key a reader has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Generation(pub u64);

impl Generation {
    /// Never removed (or so long ago that nobody can still be loading from before).
    pub const NONE: Self = Self(0);

    /// A generation that nobody has seen.
    pub fn fresh() -> Self {
        Self(fastrand::u64(1..))
    }
}

/// What is at a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// To be given to [`Remote::write`].
    pub generation: Generation,
    /// The entry; `None` when there is none, or when it was removed.
    pub entry: Option<Bytes>,
}

/// Something of the whole space that can be invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Everything.
    Clear,
    /// Everything with this tag.
    Tag(Tag),
}

/// What is heard from other instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteEvent {
    /// Listening from here on.
    Connected,
    /// A message of [`Remote::publish`], one's own included.
    Message(Bytes),
    /// Messages may be missed until the next `Connected`.
    Lost,
}

/// A second level that instances share. `space` is the cache's name.
#[async_trait]
pub trait Remote: Send + Sync + fmt::Debug + 'static {
    /// What is at a key.
    async fn read(&self, space: &str, key: &Key) -> Result<Record, RemoteError>;

    /// Stores an entry for `lifetime`, if the key's generation is still `seen`. Returns whether it was.
    ///
    /// While the second level is away the write may be kept for later, at most for [`REPLAY_WINDOW`]; the error is
    /// reported all the same.
    async fn write(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
        seen: Generation,
    ) -> Result<bool, RemoteError>;

    /// Stores an entry under a new generation, so that loads under way do not overwrite it.
    async fn replace(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
    ) -> Result<(), RemoteError>;

    /// Removes the entry under a new generation, which is remembered for `tombstone`.
    ///
    /// # Errors
    /// Could not be done now. The implementation does it when it can, before it is read again.
    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError>;

    /// The current marks, 0 for those that were never raised.
    async fn marks(&self, space: &str, marks: &[Mark]) -> Result<Vec<u64>, RemoteError>;

    /// Gives a mark a new value, remembered for `lifetime` (longer than any entry lives).
    ///
    /// # Errors
    /// As [`Remote::remove`].
    async fn raise(&self, space: &str, mark: Mark, lifetime: Duration) -> Result<(), RemoteError>;

    /// Takes the lease of a key if nobody has it. Returns whether `token` has it now.
    ///
    /// # Errors
    /// Also where the lease could be taken but not be given back: the cache then loads without
    /// leases.
    async fn acquire(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError>;

    /// Prolongs a lease. Returns whether `token` still had it.
    async fn renew(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError>;

    /// Gives a lease back, if `token` still has it.
    async fn release(&self, space: &str, key: &Key, token: u64) -> Result<(), RemoteError>;

    /// Tells the other instances.
    async fn publish(&self, space: &str, message: Bytes) -> Result<(), RemoteError>;

    /// Listens to the other instances until the receiver is dropped.
    fn subscribe(&self, space: &str) -> mpsc::Receiver<RemoteEvent>;
}
