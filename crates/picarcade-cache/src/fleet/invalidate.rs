//! Changes from outside of a load: insert, remove, remove by tag, clear; here, in the second level, on every instance.
//!
//! The order is always the same: first this process's memory, so that its next lookup is right; then the second level, so
//! that nobody can read the old value from there any more; then memory once more, for what was read from there in
//! between; then the message to the others, who forget theirs and find the second level already right.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    InsertError, Key, Loaded, Reach, RemoteError,
    entry::Entry,
    fleet::message::Message,
    inner::{Inner, Keeping},
    level2::remote::Mark,
    level2::second_level::SecondLevel,
    policy::{MARK_LIFETIME, MAX_LIFETIME},
    tag::Tag,
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    pub(crate) async fn insert(self: &Arc<Self>, key: &Key, loaded: Loaded<V>) -> Result<Reach, InsertError> {
        let Loaded { value, ttl, tags, store, negative } = loaded;
        if !store {
            return Ok(self.remove(key).await);
        }
        let negative = negative || self.negative_when.is_some_and(|test| test(&value));
        let Ok(json) = self.second.as_ref().map(|_| serde_json::to_vec(&value)).transpose() else {
            return Err(self.refuse(key, InsertError::NotSerializable).await);
        };
        let length = json.as_ref().map(Vec::len);
        let keeping = Keeping { ttl, negative, tags, took: Duration::ZERO, born: self.invalidations.count() };
        let (entry, weight) = self.entry(value, keeping, length);
        let bytes = weight.max(length.unwrap_or(0));
        let limit = self.policy.max_entry_bytes;
        if self.is_unserializable(bytes) {
            return Err(self.refuse(key, InsertError::NotSerializable).await);
        }
        if bytes > limit {
            return Err(self.refuse(key, InsertError::TooLarge { bytes, limit }).await);
        }
        self.single_flight.invalidate(key, || self.memory.insert(*key, entry.clone()));
        let (inner, key) = (Arc::clone(self), *key);
        let Some(json) = json else { return Ok(Reach::Local) };
        Ok(to_its_end(async move { inner.spread_insert(key, entry, json.into()).await }).await)
    }

    /// A value that cannot be kept: the old one is not to stand for it.
    async fn refuse(self: &Arc<Self>, key: &Key, error: InsertError) -> InsertError {
        match error {
            InsertError::TooLarge { .. } => self.counters.too_large.one(),
            InsertError::NotSerializable => self.not_serializable(),
        }
        self.remove(key).await;
        error
    }

    async fn spread_insert(&self, key: Key, entry: Entry<V>, json: Bytes) -> Reach {
        let Some(second) = &self.second else { return Reach::Local };
        let tags = entry.tags.as_ref().map_or(&[][..], |tags| tags.as_slice());
        let written = async {
            let seen = self.seen_now(second, tags).await?;
            let bytes = self.pack(second, &entry, &json, &seen).await?;
            let left = Duration::from_nanos(entry.stamps.stale_until().saturating_sub(self.clock.now()));
            let lifetime = left.min(MAX_LIFETIME).max(self.policy.tombstone());
            second.remote.replace(&second.space, &key, bytes, lifetime).await.ok()
        };
        let mut done = Ok(());
        if written.await.is_none() {
            self.counters.remote_errors.one();
            // The old value must not be read any more, even if the new one cannot be written.
            done = second.remote.remove(&second.space, &key, self.policy.tombstone()).await;
        }
        self.tell(second, done, Message::Remove(key)).await
    }

    pub(crate) async fn remove(self: &Arc<Self>, key: &Key) -> Reach {
        self.invalidate(Message::Remove(*key)).await
    }

    pub(crate) async fn remove_by_tag(self: &Arc<Self>, tag: Tag) -> Reach {
        self.invalidate(Message::Tag(tag)).await
    }

    pub(crate) async fn clear(self: &Arc<Self>) -> Reach {
        self.invalidate(Message::Clear).await
    }

    async fn invalidate(self: &Arc<Self>, what: Message) -> Reach {
        self.counters.invalidations.one();
        self.forget(what);
        if self.second.is_none() {
            return Reach::Local;
        }
        let inner = Arc::clone(self);
        to_its_end(async move { inner.spread(what).await }).await
    }

    async fn spread(&self, what: Message) -> Reach {
        let Some(second) = &self.second else { return Reach::Local };
        let (remote, space) = (&second.remote, &second.space);
        let done = match what {
            Message::Remove(key) => remote.remove(space, &key, self.policy.tombstone()).await,
            Message::Tag(tag) => remote.raise(space, Mark::Tag(tag), MARK_LIFETIME).await,
            Message::Clear => remote.raise(space, Mark::Clear, MARK_LIFETIME).await,
            Message::Alive => Ok(()),
        };
        // Again: a lookup may have brought the old value back from the second level in between.
        self.forget(what);
        self.tell(second, done, what).await
    }

    /// Forgets here, and keeps loads under way from bringing it back.
    pub(crate) fn forget(&self, what: Message) {
        match what {
            Message::Remove(key) => self.single_flight.invalidate(&key, || self.memory.remove(&key)),
            Message::Tag(tag) => self.invalidations.invalidate(tag),
            Message::Clear => {
                self.invalidations.clear();
                self.single_flight.invalidate_all();
                self.memory.clear();
                if let Some(second) = &self.second {
                    second.doubt_clear_mark();
                }
            }
            Message::Alive => {}
        }
    }

    /// Tells the other instances, and says how far it got.
    async fn tell(&self, second: &SecondLevel, done: Result<(), RemoteError>, message: Message) -> Reach {
        let told = second.publish(message).await;
        if done.is_err() || told.is_err() {
            self.counters.remote_errors.one();
        }
        if done.is_ok() && told.is_ok() { Reach::Fleet } else { Reach::Queued }
    }
}

/// Carries it out even if the caller leaves in the middle: a value that is gone here and not there would come back.
async fn to_its_end(change: impl Future<Output = Reach> + Send + 'static) -> Reach {
    // An error is the end of the runtime: nothing more can be told to anybody.
    tokio::spawn(change).await.unwrap_or(Reach::Queued)
}
