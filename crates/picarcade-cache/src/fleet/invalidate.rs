//! Changes of keys outside of a load: insert, remove, remove by tag, clear. They apply to this
//! process, to the second level and to every instance.
//!
//! The order is always the same:
//!
//! 1. The memory of this process, so that its next lookup is correct.
//! 2. The second level, so that no instance can read the old value there.
//! 3. Memory again, because a lookup may have read the old value there between steps 1 and 2.
//! 4. The message to the other instances. They forget their values and find the second level
//!    correct.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    InsertError, Key, Loaded, Reach, RemoteError,
    entry::Entry,
    fleet::message::Message,
    inner::{Inner, Keeping},
    level2::{remote::Scope, second_level::SecondLevel},
    policy::{MAX_LIFETIME, VERSION_LIFETIME},
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    pub(crate) async fn insert(self: &Arc<Self>, key: &Key, loaded: Loaded<V>) -> Result<Reach, InsertError> {
        let Loaded { value, ttl, tags, store, negative } = loaded;
        if !store {
            return Ok(self.invalidate(Message::Remove(*key)).await);
        }
        let negative = negative || self.negative_when.is_some_and(|test| test(&value));
        let Ok(json) = self.second.as_ref().map(|_| serde_json::to_vec(&value)).transpose() else {
            return Err(self.reject(key, InsertError::NotSerializable).await);
        };
        let length = json.as_ref().map(Vec::len);
        let keeping = Keeping { ttl, negative, tags, took: Duration::ZERO, born: self.invalidations.count() };
        let (entry, weight) = self.entry(value, keeping, length);
        let bytes = weight.max(length.unwrap_or(0));
        let limit = self.policy.max_entry_bytes;
        if self.is_unserializable(bytes) {
            return Err(self.reject(key, InsertError::NotSerializable).await);
        }
        if bytes > limit {
            return Err(self.reject(key, InsertError::TooLarge { bytes, limit }).await);
        }
        self.single_flight.invalidate(key, || self.memory.insert(*key, entry.clone()));
        let (inner, key) = (Arc::clone(self), *key);
        let Some(json) = json else { return Ok(Reach::Local) };
        Ok(run_to_completion(async move { inner.spread_insert(key, entry, json.into()).await }).await)
    }

    /// Counts a value that cannot be stored and removes its key, because the old value must not
    /// answer for the new one.
    async fn reject(self: &Arc<Self>, key: &Key, error: InsertError) -> InsertError {
        match error {
            InsertError::TooLarge { .. } => self.counters.too_large.one(),
            InsertError::NotSerializable => self.not_serializable(),
        }
        self.invalidate(Message::Remove(*key)).await;
        error
    }

    async fn spread_insert(&self, key: Key, entry: Entry<V>, json: Bytes) -> Reach {
        let Some(second) = &self.second else { return Reach::Local };
        let tags = entry.tags.as_ref().map_or(&[][..], |tags| tags.as_slice());
        let tombstone = self.policy.tombstone_lifetime();
        let written = async {
            let seen = self.read_versions(second, tags).await?;
            let bytes = self.pack(second, &entry, &json, &seen).await?;
            let left = Duration::from_nanos(entry.stamps.stale_until().saturating_sub(self.clock.now()));
            let lifetime = left.min(MAX_LIFETIME).max(tombstone);
            second.remote.replace(&second.space, &key, bytes, lifetime).await.ok()
        };
        let mut done = Ok(());
        if written.await.is_none() {
            self.counters.remote_errors.one();
            // Without the new value, the old one must not be read any more either.
            done = second.remote.remove(&second.space, &key, tombstone).await;
        }
        self.publish(second, done, Message::Remove(key)).await
    }

    /// Forgets values in this process, in the second level and in every instance.
    pub(crate) async fn invalidate(self: &Arc<Self>, what: Message) -> Reach {
        self.counters.invalidations.one();
        self.forget(what);
        if self.second.is_none() {
            return Reach::Local;
        }
        let inner = Arc::clone(self);
        run_to_completion(async move { inner.spread(what).await }).await
    }

    async fn spread(&self, what: Message) -> Reach {
        let Some(second) = &self.second else { return Reach::Local };
        let (remote, space) = (&second.remote, &second.space);
        let done = match what {
            Message::Remove(key) => remote.remove(space, &key, self.policy.tombstone_lifetime()).await,
            Message::Tag(tag) => remote.invalidate(space, Scope::Tag(tag), VERSION_LIFETIME).await,
            Message::Clear => remote.invalidate(space, Scope::All, VERSION_LIFETIME).await,
            Message::Alive => Ok(()),
        };
        // A lookup may have read the old value from the second level in between.
        self.forget(what);
        self.publish(second, done, what).await
    }

    /// Forgets values in this process, and prevents loads under way from storing them again.
    pub(crate) fn forget(&self, what: Message) {
        match what {
            Message::Remove(key) => self.single_flight.invalidate(&key, || self.memory.remove(&key)),
            Message::Tag(tag) => self.invalidations.invalidate(tag),
            Message::Clear => {
                self.invalidations.clear();
                self.single_flight.invalidate_all();
                self.memory.clear();
                if let Some(second) = &self.second {
                    second.forget_clear_version();
                }
            }
            Message::Alive => {}
        }
    }

    /// Publishes a message to the other instances, and returns how far the change got.
    async fn publish(&self, second: &SecondLevel, done: Result<(), RemoteError>, message: Message) -> Reach {
        let published = second.publish(message).await;
        if done.is_err() || published.is_err() {
            self.counters.remote_errors.one();
        }
        if done.is_ok() && published.is_ok() { Reach::Fleet } else { Reach::Queued }
    }
}

/// Runs a change to its end even if the caller leaves. A value that is removed in memory but not in
/// the second level would come back.
async fn run_to_completion(change: impl Future<Output = Reach> + Send + 'static) -> Reach {
    // The task fails only when the runtime shuts down.
    tokio::spawn(change).await.unwrap_or(Reach::Queued)
}
