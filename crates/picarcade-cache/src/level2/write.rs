//! Writing to the second level: from an entry to bytes, unless something was invalidated meanwhile.

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Key,
    entry::Entry,
    inner::Inner,
    level2::envelope::{self, Envelope},
    level2::remote::{Generation, Mark},
    level2::second_level::{SecondLevel, Seen},
    policy::MAX_LIFETIME,
    tag::Tag,
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
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
        let Some(_place) = second.writing() else {
            return self.counters.writes_dropped.one();
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
        second.learn_clear_mark(clear_mark);
        Some(Seen {
            generation: Generation::NONE,
            clear_mark: Some(clear_mark),
            tags: tags.iter().copied().zip(marks).collect(),
        })
    }
}
