//! What the callers hand to the writer: invalidations, which must not be lost, and writes, which
//! may.
//!
//! An invalidation is recorded here before its caller waits, and stays until it is on disk. Readers
//! look here first. So an invalidation holds in this process at once, even if the disk fails.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    record::{Name, StoredVersion, version_name},
    store::Change,
};
use crate::{
    RemoteError,
    level2::remote::{KeyVersion, Record, Scope, TagVersion},
};

/// How many keys may wait for the disk. Beyond that, the disk level stays off until the next start.
const MAX_WAITING: usize = 16_384;

/// How many versions of scopes are kept. Beyond that, too, the disk level stays off until the next
/// start, without its file: an entry must not outlive the version that invalidated it.
const MAX_VERSIONS: usize = 100_000;

/// A write that waits for the writer.
#[derive(Debug)]
pub(super) enum Job {
    /// An entry, which is dropped if the disk fails.
    Write { change: Change, done: oneshot::Sender<Result<bool, RemoteError>>, _permit: OwnedSemaphorePermit },
    /// A call that waits until everything in the inbox is on disk, or the file is gone.
    Flush { done: oneshot::Sender<Result<(), RemoteError>>, _permit: OwnedSemaphorePermit },
    /// A reader has found damage.
    Damaged,
}

impl Job {
    /// Returns how many bytes the job writes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Write { change: Change::Write { entry, .. }, .. } => entry.len(),
            _ => 0,
        }
    }
}

/// A replacement or removal that is not on disk yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) entry: Option<Bytes>,
    pub(super) expires_ms: u64,
    pub(super) version: KeyVersion,
}

/// The invalidations, and the versions of all scopes.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    keys: HashMap<Name, Waiting>,
    versions: HashMap<Name, StoredVersion>,
    /// The scopes whose versions are not on disk.
    unsaved: HashSet<Name>,
    /// Whether more invalidations came than may wait.
    overflowed: bool,
}

impl Inbox {
    /// Takes over the versions of an opened file.
    pub(super) fn loaded(versions: Vec<(Name, StoredVersion)>, now_ms: u64) -> Self {
        let versions = versions.into_iter().filter(|(_, version)| now_ms < version.expires_ms).collect();
        Self { versions, ..Self::default() }
    }

    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Records a replacement or removal of a key.
    pub(super) fn put(&mut self, name: Name, waiting: Waiting) {
        if self.keys.len() < MAX_WAITING || self.keys.contains_key(&name) {
            self.keys.insert(name, waiting);
        } else {
            self.overflowed = true;
        }
    }

    /// Returns the content of a key that is not on disk yet. Every key is empty after an overflow,
    /// because a removal may be missing here.
    pub(super) fn record(&self, name: &[u8], now_ms: u64) -> Option<Record> {
        if self.overflowed {
            return Some(Record::default());
        }
        let waiting = self.keys.get(name).filter(|waiting| now_ms < waiting.expires_ms)?;
        Some(Record { version: waiting.version, entry: waiting.entry.clone() })
    }

    /// Gives a scope a new version.
    pub(super) fn invalidate(&mut self, space: &str, scope: Scope, expires_ms: u64, now_ms: u64) {
        let name = version_name(space, scope);
        if self.versions.len() >= MAX_VERSIONS && !self.versions.contains_key(&name) {
            self.versions.retain(|_, version| now_ms < version.expires_ms);
            self.overflowed |= self.versions.len() >= MAX_VERSIONS;
        }
        if !self.overflowed {
            let version = TagVersion::random().0;
            self.versions.insert(name.clone(), StoredVersion { version, expires_ms });
            self.unsaved.insert(name);
        }
    }

    /// Returns the version of a scope.
    pub(super) fn version(&self, space: &str, scope: Scope, now_ms: u64) -> TagVersion {
        let stored = self.versions.get(&version_name(space, scope));
        stored
            .filter(|stored| now_ms < stored.expires_ms)
            .map_or(TagVersion::NONE, |stored| TagVersion(stored.version))
    }

    /// Marks every version as not on disk, for a new file.
    pub(super) fn forget_saved(&mut self) {
        self.unsaved = self.versions.keys().cloned().collect();
    }

    /// Returns the changes that are not on disk. They stay until [`Inbox::saved`].
    pub(super) fn changes(&self) -> Vec<Change> {
        let versions = self.unsaved.iter().filter_map(|name| {
            let version = *self.versions.get(name)?;
            Some(Change::Version { name: name.clone(), version })
        });
        let keys = self.keys.iter().map(|(name, waiting)| Change::Put {
            name: name.clone(),
            entry: waiting.entry.clone(),
            expires_ms: waiting.expires_ms,
            version: waiting.version,
        });
        versions.chain(keys).collect()
    }

    /// Forgets changes that are on disk now, except those that changed meanwhile.
    pub(super) fn saved(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Version { name, version } => {
                    if self.versions.get(name) == Some(version) {
                        self.unsaved.remove(name);
                    }
                }
                Change::Put { name, version, .. } => {
                    if self.keys.get(name).is_some_and(|waiting| waiting.version == *version) {
                        self.keys.remove(name);
                    }
                }
                Change::Write { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, MAX_VERSIONS, MAX_WAITING, Waiting};
    use crate::level2::remote::{KeyVersion, Record, Scope};
    use crate::tag::Tag;

    fn removal() -> Waiting {
        Waiting { entry: None, expires_ms: 100, version: KeyVersion::random() }
    }

    #[test]
    fn a_change_stays_until_it_is_saved_and_no_later_one_is_lost() {
        let mut inbox = Inbox::default();
        inbox.put(vec![1], removal());
        inbox.invalidate("space", Scope::All, 100, 0);
        let changes = inbox.changes();
        assert_eq!(changes.len(), 2);
        inbox.put(vec![1], removal());
        inbox.saved(&changes);
        assert_eq!(inbox.changes().len(), 1, "the later removal waits");
        let changes = inbox.changes();
        inbox.saved(&changes);
        assert!(inbox.changes().is_empty() && inbox.record(&[1], 0).is_none());
        inbox.forget_saved();
        assert_eq!(inbox.changes().len(), 1, "a new file needs the versions");
    }

    #[test]
    fn after_too_many_removals_or_tags_every_key_is_empty() {
        let mut removals = Inbox::default();
        let mut tags = Inbox::default();
        for number in 0..=MAX_WAITING as u64 {
            assert!(!removals.overflowed());
            removals.put(number.to_le_bytes().to_vec(), removal());
        }
        for number in 0..=MAX_VERSIONS as u64 {
            assert!(!tags.overflowed());
            tags.invalidate("space", Scope::Tag(Tag::from_id(number)), 100, 0);
        }
        for inbox in [removals, tags] {
            assert!(inbox.overflowed());
            assert_eq!(inbox.record(b"any", 0), Some(Record::default()));
        }
    }

    #[test]
    fn expired_versions_make_room() {
        let mut tags = Inbox::default();
        for number in 0..=MAX_VERSIONS as u64 {
            tags.invalidate("space", Scope::Tag(Tag::from_id(number)), 100 + number, number);
        }
        assert!(!tags.overflowed());
    }
}
