//! The second level of one cache: the remote, the known version of the space, and the writes under
//! way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Remote, RemoteError,
    fleet::message::Message,
    level2::remote::{KeyVersion, Scope, TagVersion},
    tag::Tag,
};

/// The maximum number of writes under way. Further writes are dropped.
const MAX_WRITES: usize = 1024;
const UNKNOWN: u64 = u64::MAX;

/// The second level of one cache.
#[derive(Debug)]
pub(crate) struct SecondLevel {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) space: Arc<str>,
    clear_version: AtomicU64,
    /// The number that names this instance in messages.
    pub(crate) sender: u64,
    /// The number of the last message. A lock, because messages must be sent in order.
    sequence: tokio::sync::Mutex<u64>,
    writes: Semaphore,
}

/// The versions that were read before a load. The result of the load is stored only while they are
/// current.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) key_version: KeyVersion,
    /// `None` if the second level did not answer. Nothing may then be written to it.
    pub(crate) clear_version: Option<TagVersion>,
    pub(crate) tags: Vec<(Tag, TagVersion)>,
}

impl Seen {
    /// Returns the value for a second level that did not answer.
    pub(crate) fn nothing() -> Self {
        Self { key_version: KeyVersion::NONE, clear_version: None, tags: Vec::new() }
    }

    /// Returns whether the second level answered.
    pub(crate) fn is_known(&self) -> bool {
        self.clear_version.is_some()
    }
}

impl SecondLevel {
    pub(crate) fn new(remote: Arc<dyn Remote>, space: Arc<str>) -> Self {
        Self {
            remote,
            space,
            clear_version: AtomicU64::new(UNKNOWN),
            sender: fastrand::u64(..),
            sequence: tokio::sync::Mutex::new(0),
            writes: Semaphore::new(MAX_WRITES),
        }
    }

    /// Returns the version of the space, if it is known.
    pub(crate) fn known_clear_version(&self) -> Option<TagVersion> {
        Some(self.clear_version.load(Ordering::Acquire)).filter(|version| *version != UNKNOWN).map(TagVersion)
    }

    /// Forgets the version of the space, so that it is read again before the next use.
    pub(crate) fn forget_clear_version(&self) {
        self.clear_version.store(UNKNOWN, Ordering::Release);
    }

    /// Reads the version of the space and stores it.
    pub(crate) async fn read_clear_version(&self) -> Result<TagVersion, RemoteError> {
        let versions = self.remote.tag_versions(&self.space, &[Scope::All]).await?;
        let version = versions.first().copied().unwrap_or(TagVersion::NONE);
        self.set_clear_version(version);
        Ok(version)
    }

    pub(crate) fn set_clear_version(&self, version: TagVersion) {
        self.clear_version.store(version.0, Ordering::Release);
    }

    /// Returns a permit for one write, unless too many are under way.
    pub(crate) fn write_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.writes.try_acquire().ok()
    }

    /// Publishes a message with the next number. A failed message uses its number up, so that the
    /// other instances notice the gap.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), RemoteError> {
        let mut sequence = self.sequence.lock().await;
        if message != Message::Alive {
            *sequence += 1;
        }
        let bytes = message.encode(self.sender, *sequence);
        self.remote.publish(&self.space, bytes).await
    }
}
