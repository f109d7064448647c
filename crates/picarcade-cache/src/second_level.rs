//! Reading from and writing to the second level: from bytes to entries and back.
//!
//! An entry of the second level is believed only if everything about it fits: envelope, schema, stamps, the clear mark, and
//! the mark of each of its tags. The clear mark is kept here and learned by messages; when an entry disagrees with it, it is
//! asked for again before the entry is refused. Marks of tags are asked for with every tagged entry: one more round trip
//! (none, when the caller named the tags before), and no message can be missed.
//!
//! Every failure is a miss, counted: the second level can only make things faster.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use crate::{
    Key, Remote,
    cache::Inner,
    clock::nanos,
    entry::{Entry, Stamps},
    envelope::{self, Envelope},
    memory::OVERHEAD_BYTES,
    remote::{Generation, Mark},
    tags::Tag,
};

/// Writes to the second level under way at one time; more are not made.
const MAX_WRITES: usize = 1024;
/// No entry lives longer than this, whatever its loader says; marks live a little longer.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_hours(720);
pub(crate) const MARK_LIFETIME: Duration = Duration::from_hours(744);
const UNKNOWN: u64 = u64::MAX;

/// The second level of one cache.
#[derive(Debug)]
pub(crate) struct SecondLevel {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) space: Arc<str>,
    clear_mark: AtomicU64,
    /// Who we are to the other instances.
    pub(crate) sender: u64,
    /// The number of the last message sent. A lock, because numbers must be sent in their order.
    pub(crate) sequence: tokio::sync::Mutex<u64>,
    writes: Semaphore,
}

/// What was seen before a load began, and must still be so for its result to be kept.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) generation: Generation,
    /// `None`: the second level could not be asked, so nothing may be written to it.
    clear_mark: Option<u64>,
    tags: Vec<(Tag, u64)>,
}

impl Seen {
    /// Whether the second level answered.
    pub(crate) fn is_known(&self) -> bool {
        self.clear_mark.is_some()
    }
}

/// What the second level has.
pub(crate) enum Found<V> {
    Fresh(Entry<V>),
    Stale(Entry<V>),
    Nothing,
}

impl SecondLevel {
    pub(crate) fn new(remote: Arc<dyn Remote>, space: Arc<str>) -> Self {
        Self {
            remote,
            space,
            clear_mark: AtomicU64::new(UNKNOWN),
            sender: fastrand::u64(..),
            sequence: tokio::sync::Mutex::new(0),
            writes: Semaphore::new(MAX_WRITES),
        }
    }

    fn known_clear_mark(&self) -> Option<u64> {
        Some(self.clear_mark.load(Ordering::Acquire)).filter(|mark| *mark != UNKNOWN)
    }

    /// Forgets the clear mark, so that it is asked for before the next use.
    pub(crate) fn doubt_clear_mark(&self) {
        self.clear_mark.store(UNKNOWN, Ordering::Release);
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Reads a key from the second level. `tags` are those that the caller named, `born` the count of
    /// invalidations from before.
    pub(crate) async fn fetch(
        &self,
        second: &SecondLevel,
        key: &Key,
        tags: &[Tag],
        born: u64,
    ) -> (Found<V>, Seen) {
        let mut wanted: Vec<Mark> = tags.iter().map(|tag| Mark::Tag(*tag)).collect();
        let known_mark = second.known_clear_mark();
        if known_mark.is_none() {
            wanted.push(Mark::Clear);
        }
        let marks = async {
            if wanted.is_empty() { Ok(Vec::new()) } else { second.remote.marks(&second.space, &wanted).await }
        };
        let (record, marks) = tokio::join!(second.remote.read(&second.space, key), marks);
        let nothing = Seen { generation: Generation::NONE, clear_mark: None, tags: Vec::new() };
        let (record, marks) = match (record, marks) {
            (Ok(record), Ok(marks)) => (record, marks),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(cache = %self.name, %error, "second level not read");
                self.counters.remote_errors.one();
                return (Found::Nothing, nothing);
            }
        };
        let clear_mark = if let Some(mark) = known_mark {
            mark
        } else {
            let mark = marks.last().copied().unwrap_or(0);
            second.clear_mark.store(mark, Ordering::Release);
            mark
        };
        let seen = Seen {
            generation: record.generation,
            clear_mark: Some(clear_mark),
            tags: tags.iter().copied().zip(marks).collect(),
        };
        match record.entry {
            Some(bytes) => self.admit(second, &bytes, seen, born).await,
            None => (Found::Nothing, seen),
        }
    }

    /// Decodes an entry and checks it against the marks.
    async fn admit(
        &self,
        second: &SecondLevel,
        bytes: &Bytes,
        mut seen: Seen,
        born: u64,
    ) -> (Found<V>, Seen) {
        let (envelope, json) = match envelope::decode(bytes, self.schema, self.policy.max_entry_bytes) {
            Ok(decoded) => decoded,
            Err(reason) => {
                tracing::debug!(cache = %self.name, ?reason, "second level holds something undecodable");
                self.counters.undecodable.one();
                return (Found::Nothing, seen);
            }
        };
        if seen.clear_mark != Some(envelope.clear_mark) {
            // Either the entry is from before a clear, or we have not heard of one yet.
            if let Ok([mark]) = second.remote.marks(&second.space, &[Mark::Clear]).await.as_deref() {
                second.clear_mark.store(*mark, Ordering::Release);
                seen.clear_mark = Some(*mark);
            } else {
                self.counters.remote_errors.one();
                seen.clear_mark = None;
            }
            if seen.clear_mark != Some(envelope.clear_mark) {
                return (Found::Nothing, seen);
            }
        }
        if !self.marks_agree(second, &envelope, &seen).await {
            return (Found::Nothing, seen);
        }
        let Some(left) = envelope.remaining(self.clock.unix_ms()) else { return (Found::Nothing, seen) };
        let Ok(value) = serde_json::from_slice::<V>(&json) else {
            self.counters.undecodable.one();
            return (Found::Nothing, seen);
        };
        let weight = self.weigh(&value, Some(json.len()));
        if weight > self.policy.max_entry_bytes {
            self.counters.too_large.one();
            return (Found::Nothing, seen);
        }
        let now = self.clock.now();
        let (age, fresh, stale) = (nanos(left.age), nanos(left.fresh), nanos(left.stale));
        let stored = now.saturating_sub(age);
        let tags: Vec<Tag> = envelope.tags.iter().map(|(tag, _)| *tag).collect();
        let entry = Entry {
            value: Arc::new(value),
            stamps: Stamps::new(stored, now.saturating_sub(stored).saturating_add(fresh), stale),
            born,
            tags: (!tags.is_empty()).then(|| Arc::new(tags)),
            weight: u32::try_from(weight + OVERHEAD_BYTES).unwrap_or(u32::MAX),
            load_micros: envelope.load_micros,
        };
        (if fresh > 0 { Found::Fresh(entry) } else { Found::Stale(entry) }, seen)
    }

    /// Whether no tag of an entry was invalidated since its load began.
    async fn marks_agree(&self, second: &SecondLevel, envelope: &Envelope, seen: &Seen) -> bool {
        let known = |tag: &Tag| seen.tags.iter().find(|(seen, _)| seen == tag).map(|(_, mark)| *mark);
        let unknown: Vec<Mark> = envelope
            .tags
            .iter()
            .filter(|(tag, _)| known(tag).is_none())
            .map(|(tag, _)| Mark::Tag(*tag))
            .collect();
        let mut asked = Vec::new();
        if !unknown.is_empty() {
            if let Ok(marks) = second.remote.marks(&second.space, &unknown).await {
                asked = unknown.into_iter().zip(marks).collect();
            } else {
                self.counters.remote_errors.one();
                return false;
            }
        }
        envelope.tags.iter().all(|(tag, mark)| {
            let current = known(tag)
                .or_else(|| asked.iter().find(|(asked, _)| *asked == Mark::Tag(*tag)).map(|(_, mark)| *mark));
            current == Some(*mark)
        })
    }

    /// The bytes of an entry, or `None` when it may not be written: too large, or from a time when the marks
    /// were not known.
    pub(crate) async fn pack(
        &self,
        second: &SecondLevel,
        entry: &Entry<V>,
        json: &[u8],
        seen: &Seen,
    ) -> Option<Bytes> {
        let clear_mark = seen.clear_mark?;
        let mut tags = Vec::new();
        let mut late = Vec::new();
        for tag in entry.tags.iter().flat_map(|tags| tags.iter()) {
            match seen.tags.iter().find(|(seen, _)| seen == tag) {
                Some(known) => tags.push(*known),
                None => late.push(Mark::Tag(*tag)),
            }
        }
        if !late.is_empty() {
            // Tags that only the loader knew. Their marks are from after the load; what was invalidated during it
            // is known from messages (`born`), which the caller has checked.
            let marks = second.remote.marks(&second.space, &late).await.ok()?;
            for (mark, value) in late.into_iter().zip(marks) {
                if let Mark::Tag(tag) = mark {
                    tags.push((tag, value));
                }
            }
        }
        let now = self.clock.now();
        let wall = self.clock.unix_ms();
        let ms = |nanos: u64| nanos / 1_000_000;
        let fresh_until_ms = wall.saturating_add(ms(entry.stamps.fresh_until().saturating_sub(now)));
        let stale_ms = ms(entry.stamps.stale_until().saturating_sub(entry.stamps.fresh_until().max(now)));
        let envelope = Envelope {
            schema: self.schema,
            stored_ms: wall.saturating_sub(ms(now.saturating_sub(entry.stamps.stored))),
            fresh_until_ms,
            stale_until_ms: fresh_until_ms.saturating_add(stale_ms),
            load_micros: entry.load_micros,
            clear_mark,
            tags,
        };
        envelope::encode(&envelope, json, self.policy.compress_above)
    }

    /// Writes a loaded entry, unless the key was invalidated meanwhile.
    pub(crate) async fn write_back(
        &self,
        second: &SecondLevel,
        key: &Key,
        entry: &Entry<V>,
        json: &[u8],
        seen: &Seen,
    ) {
        let Ok(_permit) = second.writes.try_acquire() else {
            self.counters.writes_dropped.one();
            return;
        };
        let Some(bytes) = self.pack(second, entry, json, seen).await else { return };
        let left = entry.stamps.stale_until().saturating_sub(self.clock.now());
        let mut lifetime = Duration::from_nanos(left).min(MAX_LIFETIME);
        if seen.generation != Generation::NONE {
            // The entry takes the tombstone's place, and must remember the generation for as long.
            lifetime = lifetime.max(self.policy.tombstone());
        }
        match second.remote.write(&second.space, key, bytes, lifetime, seen.generation).await {
            Ok(true) => {}
            Ok(false) => self.counters.late_writes.one(),
            Err(error) => {
                tracing::debug!(cache = %self.name, %error, "second level not written");
                self.counters.remote_errors.one();
            }
        }
    }

    /// What an entry that nobody loads anew (an insert) begins with.
    pub(crate) async fn seen_now(&self, second: &SecondLevel, tags: &[Tag]) -> Option<Seen> {
        let mut wanted: Vec<Mark> = tags.iter().map(|tag| Mark::Tag(*tag)).collect();
        wanted.push(Mark::Clear);
        let marks = second.remote.marks(&second.space, &wanted).await.ok()?;
        let clear_mark = *marks.last()?;
        second.clear_mark.store(clear_mark, Ordering::Release);
        Some(Seen {
            generation: Generation::NONE,
            clear_mark: Some(clear_mark),
            tags: tags.iter().copied().zip(marks).collect(),
        })
    }
}
