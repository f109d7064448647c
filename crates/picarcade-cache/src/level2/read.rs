//! Reads an entry from the second level and verifies it.
//!
//! An entry is valid only if its envelope, its schema, its stamps and all its versions are. The
//! version of the space is kept in this process and updated by messages. If an entry disagrees with
//! it, it is read again before the entry is rejected. The versions of the tags are read with every
//! tagged entry, so that no lost message matters. This costs one more round trip, or none if the
//! caller named the tags.
//!
//! Every failure counts as a miss, because the second level only makes lookups faster.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Key,
    clock::nanos,
    entry::{Entry, Stamps},
    inner::Inner,
    known::Known,
    level2::{
        envelope::{self, Envelope},
        remote::{Scope, TagVersion},
        second_level::{SecondLevel, Seen},
    },
    tag::Tag,
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Reads a key from the second level. `tags` are the tags that the caller named, and `born` is
    /// the count of invalidations before the read.
    pub(crate) async fn fetch(
        &self,
        second: &SecondLevel,
        key: &Key,
        tags: &[Tag],
        born: u64,
    ) -> (Known<V>, Seen) {
        let mut scopes: Vec<Scope> = tags.iter().map(|tag| Scope::Tag(*tag)).collect();
        let known_clear_version = second.known_clear_version();
        if known_clear_version.is_none() {
            scopes.push(Scope::All);
        }
        let versions = async {
            if scopes.is_empty() {
                return Ok(Vec::new());
            }
            second.remote.tag_versions(&second.space, &scopes).await
        };
        let (record, versions) = match tokio::join!(second.remote.read(&second.space, key), versions) {
            (Ok(record), Ok(versions)) => (record, versions),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(cache = %self.name, %error, "second level could not be read");
                self.counters.remote_errors.one();
                return (Known::Nothing, Seen::nothing());
            }
        };
        let clear_version = known_clear_version.unwrap_or_else(|| {
            let version = versions.last().copied().unwrap_or(TagVersion::NONE);
            second.set_clear_version(version);
            version
        });
        let seen = Seen {
            key_version: record.version,
            clear_version: Some(clear_version),
            tags: tags.iter().copied().zip(versions).collect(),
        };
        match record.entry {
            Some(bytes) => self.verify(second, &bytes, seen, born).await,
            None => (Known::Nothing, seen),
        }
    }

    /// Decodes an entry and compares its versions with the current ones.
    async fn verify(
        &self,
        second: &SecondLevel,
        bytes: &Bytes,
        mut seen: Seen,
        born: u64,
    ) -> (Known<V>, Seen) {
        let (envelope, json) = match envelope::decode(bytes, self.schema, self.policy.max_entry_bytes) {
            Ok(decoded) => decoded,
            Err(reason) => {
                self.undecodable(reason.as_str());
                return (Known::Nothing, seen);
            }
        };
        if seen.clear_version != Some(envelope.clear_version) {
            // Either the entry is older than a clear, or the message of a clear has not arrived.
            seen.clear_version = second.read_clear_version().await.ok();
            if seen.clear_version.is_none() {
                self.counters.remote_errors.one();
            }
            if seen.clear_version != Some(envelope.clear_version) {
                return (Known::Nothing, seen);
            }
        }
        if !self.tags_are_current(second, &envelope, &seen).await {
            return (Known::Nothing, seen);
        }
        let Some(left) = envelope.remaining(self.clock.unix_ms()) else { return (Known::Nothing, seen) };
        let Ok(value) = serde_json::from_slice::<V>(&json) else {
            self.undecodable("value");
            return (Known::Nothing, seen);
        };
        let weight = self.weigh(&value, Some(json.len()));
        if weight > self.policy.max_entry_bytes {
            self.counters.too_large.one();
            return (Known::Nothing, seen);
        }
        let now = self.clock.now();
        let (age, fresh, stale) = (nanos(left.age), nanos(left.fresh), nanos(left.stale));
        let stored = now.saturating_sub(age);
        let tags: Vec<Tag> = envelope.tags.iter().map(|(tag, _)| *tag).collect();
        let entry = Entry {
            value: Arc::new(value),
            stamps: Stamps::new(stored, now.saturating_sub(stored).saturating_add(fresh), stale),
            born,
            weight: Self::counted(weight, &tags),
            tags: (!tags.is_empty()).then(|| Arc::new(tags)),
            load_micros: envelope.load_micros,
        };
        (if fresh > 0 { Known::Fresh(entry) } else { Known::Stale(entry) }, seen)
    }

    fn undecodable(&self, reason: &'static str) {
        tracing::debug!(cache = %self.name, reason, "entry of the second level could not be decoded");
        self.counters.undecodable.one();
    }

    /// Returns whether no tag of an entry was invalidated since the load of the entry began.
    async fn tags_are_current(&self, second: &SecondLevel, envelope: &Envelope, seen: &Seen) -> bool {
        let mut current = seen.tags.clone();
        let is_seen = |tag: &Tag| seen.tags.iter().any(|(seen, _)| seen == tag);
        let unseen: Vec<Tag> =
            envelope.tags.iter().map(|(tag, _)| *tag).filter(|tag| !is_seen(tag)).collect();
        if !unseen.is_empty() {
            let scopes: Vec<Scope> = unseen.iter().map(|tag| Scope::Tag(*tag)).collect();
            let Ok(versions) = second.remote.tag_versions(&second.space, &scopes).await else {
                self.counters.remote_errors.one();
                return false;
            };
            current.extend(unseen.into_iter().zip(versions));
        }
        envelope.tags.iter().all(|tag_and_version| current.contains(tag_and_version))
    }
}
