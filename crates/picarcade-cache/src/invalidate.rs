//! Changes from outside of a load: insert, remove, remove by tag, clear; here, in the second level, on every instance.
//!
//! The order is always the same: first this process's memory, so that its next lookup is right; then the second level, so
//! that nobody can read the old value from there any more; then memory once more, for what was read from there in
//! between; then the message to the others, who forget theirs and find the second level already right.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Key, Loaded, Reach, RemoteError,
    cache::Inner,
    fleet::Message,
    remote::Mark,
    second_level::{MARK_LIFETIME, MAX_LIFETIME, SecondLevel},
    tags::Tag,
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    pub(crate) async fn insert(&self, key: &Key, loaded: Loaded<V>) -> Reach {
        let Loaded { value, ttl, tags, store, negative } = loaded;
        if !store {
            return self.remove(key).await;
        }
        let negative = negative || self.negative_when.is_some_and(|test| test(&value));
        let json = self.second.as_ref().and_then(|_| serde_json::to_vec(&value).ok());
        let length = json.as_ref().map(Vec::len);
        let born = self.invalidations.count();
        let entry = self.entry(value, ttl, negative, tags, Duration::ZERO, born, length);
        if entry.weight as usize > self.policy.max_entry_bytes.saturating_add(crate::memory::OVERHEAD_BYTES) {
            self.counters.too_large.one();
            return self.remove(key).await;
        }
        self.flights.invalidate(key, || self.memory.insert(*key, entry.clone()));
        let Some(second) = &self.second else { return Reach::Local };
        let tags = entry.tags.as_ref().map_or(&[][..], |tags| tags.as_slice());
        let written = async {
            let seen = self.seen_now(second, tags).await?;
            let bytes = self.pack(second, &entry, json.as_deref()?, &seen).await?;
            let left = Duration::from_nanos(entry.stamps.stale_until().saturating_sub(self.clock.now()));
            let lifetime = left.min(MAX_LIFETIME).max(self.policy.tombstone());
            second.remote.replace(&second.space, key, bytes, lifetime).await.ok()
        };
        if written.await.is_none() {
            self.counters.remote_errors.one();
            // The old value must not be read any more, even if the new one cannot be written.
            let removed = second.remote.remove(&second.space, key, self.policy.tombstone()).await;
            return self.tell(second, removed, Message::Remove(*key)).await;
        }
        self.tell(second, Ok(()), Message::Remove(*key)).await
    }

    pub(crate) async fn remove(&self, key: &Key) -> Reach {
        self.counters.invalidations.one();
        self.forget_key(key);
        let Some(second) = &self.second else { return Reach::Local };
        let removed = second.remote.remove(&second.space, key, self.policy.tombstone()).await;
        // Again: a lookup may have brought the old value back from the second level in between.
        self.forget_key(key);
        self.tell(second, removed, Message::Remove(*key)).await
    }

    pub(crate) async fn remove_by_tag(&self, tag: Tag) -> Reach {
        self.counters.invalidations.one();
        self.forget_tag(tag);
        let Some(second) = &self.second else { return Reach::Local };
        let raised = second.remote.raise(&second.space, Mark::Tag(tag), MARK_LIFETIME).await;
        self.forget_tag(tag);
        self.tell(second, raised, Message::Tag(tag)).await
    }

    pub(crate) async fn clear(&self) -> Reach {
        self.counters.invalidations.one();
        self.forget_all();
        let Some(second) = &self.second else { return Reach::Local };
        let raised = second.remote.raise(&second.space, Mark::Clear, MARK_LIFETIME).await;
        self.forget_all();
        self.tell(second, raised, Message::Clear).await
    }

    /// Forgets a key here, and keeps a load under way from bringing it back.
    pub(crate) fn forget_key(&self, key: &Key) {
        self.flights.invalidate(key, || self.memory.remove(key));
    }

    /// Forgets a tag here.
    pub(crate) fn forget_tag(&self, tag: Tag) {
        self.invalidations.invalidate(tag);
    }

    /// Forgets everything here.
    pub(crate) fn forget_all(&self) {
        self.invalidations.clear();
        self.flights.invalidate_all();
        self.memory.clear();
        if let Some(second) = &self.second {
            second.doubt_clear_mark();
        }
    }

    /// Tells the others, and says how far it got.
    async fn tell(&self, second: &SecondLevel, done: Result<(), RemoteError>, message: Message) -> Reach {
        let told = second.publish(message).await;
        if done.is_err() || told.is_err() {
            self.counters.remote_errors.one();
        }
        if done.is_ok() && told.is_ok() { Reach::Fleet } else { Reach::Queued }
    }
}

impl SecondLevel {
    /// Sends a message with the next number. A number is used up even if the message does not arrive: that is how the
    /// others notice.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), RemoteError> {
        let mut sequence = self.sequence.lock().await;
        if message != Message::Alive {
            *sequence += 1;
        }
        let bytes = message.encode(self.sender, *sequence);
        self.remote.publish(&Arc::clone(&self.space), bytes).await
    }
}
