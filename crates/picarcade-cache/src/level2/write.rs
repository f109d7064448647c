//! Writes an entry to the second level, unless it was invalidated meanwhile.

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Key,
    entry::Entry,
    inner::Inner,
    level2::{
        envelope::{self, Envelope},
        remote::{KeyVersion, Scope},
        second_level::{SecondLevel, Seen},
    },
    policy::MAX_LIFETIME,
    tag::Tag,
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Returns the bytes of an entry, or `None` if it must not be written: it is too large, or the
    /// second level did not return the versions.
    pub(crate) async fn pack(
        &self,
        second: &SecondLevel,
        entry: &Entry<V>,
        json: &[u8],
        seen: &Seen,
    ) -> Option<Bytes> {
        let clear_version = seen.clear_version?;
        let mut tags = Vec::new();
        let mut late = Vec::new();
        for tag in entry.tags.iter().flat_map(|tags| tags.iter()) {
            match seen.tags.iter().find(|(seen, _)| seen == tag) {
                Some(known) => tags.push(*known),
                None => late.push(*tag),
            }
        }
        if !late.is_empty() {
            // Only the loader named these tags, so their versions are newer than the load. The
            // caller has checked by `born` that no message invalidated them during the load.
            let scopes: Vec<Scope> = late.iter().map(|tag| Scope::Tag(*tag)).collect();
            let versions = second.remote.tag_versions(&second.space, &scopes).await.ok()?;
            tags.extend(late.into_iter().zip(versions));
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
            clear_version,
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
        let Some(_permit) = second.write_permit() else {
            return self.counters.writes_dropped.one();
        };
        let Some(bytes) = self.pack(second, entry, json, seen).await else { return };
        let left = entry.stamps.stale_until().saturating_sub(self.clock.now());
        let mut lifetime = Duration::from_nanos(left).min(MAX_LIFETIME);
        if seen.key_version != KeyVersion::NONE {
            // The entry replaces the tombstone, so it must keep the version for as long.
            lifetime = lifetime.max(self.policy.tombstone_lifetime());
        }
        match second.remote.write(&second.space, key, bytes, lifetime, seen.key_version).await {
            Ok(true) => {}
            Ok(false) => self.counters.late_writes.one(),
            Err(error) => {
                tracing::debug!(cache = %self.name, %error, "second level could not be written");
                self.counters.remote_errors.one();
            }
        }
    }

    /// Reads the versions for an entry that is inserted without a load.
    pub(crate) async fn read_versions(&self, second: &SecondLevel, tags: &[Tag]) -> Option<Seen> {
        let mut scopes: Vec<Scope> = tags.iter().map(|tag| Scope::Tag(*tag)).collect();
        scopes.push(Scope::All);
        let versions = second.remote.tag_versions(&second.space, &scopes).await.ok()?;
        let clear_version = *versions.last()?;
        second.set_clear_version(clear_version);
        Some(Seen {
            key_version: KeyVersion::NONE,
            clear_version: Some(clear_version),
            tags: tags.iter().copied().zip(versions).collect(),
        })
    }
}
