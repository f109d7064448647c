//! A [`Remote`] over a Redis handle.
//!
//! A read is a plain `GET`. A write is a script that compares the version of the key. A removal is
//! a plain `SET` of a tombstone: it can be repeated without harm, and the handle repeats it for an
//! endpoint that was away.
//!
//! While no endpoint is reachable, writes wait in this process, the last one per key and within a
//! bound. They are made if an endpoint is back within [`REPLAY_WINDOW`](crate::REPLAY_WINDOW). They
//! compare versions like any write, so a late one never undoes a removal. Writes beyond the bound
//! are dropped.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use picarcade_redis::{Cause, Error, RedisHandle, SubscriptionEvent};
use tokio::{sync::mpsc, time::Instant};

use super::{
    layout::{
        ACQUIRE, ENTRY, RELEASE, RENEW, TOMBSTONE, WRITE, entry_key, framed, lease_key, unframed, version_key,
    },
    pending::{Pending, Write},
};
use crate::{
    Key, RemoteError,
    level2::remote::{KeyVersion, Record, Remote, RemoteEvent, Scope, TagVersion},
};

/// A [`Remote`] over a [`RedisHandle`]. Several caches may share it.
pub struct RedisRemote {
    handle: RedisHandle,
    pending: Arc<Mutex<Pending>>,
    /// Whether the log contains the warning that Redis refuses scripts.
    refusal_logged: AtomicBool,
}

impl fmt::Debug for RedisRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRemote").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl RedisRemote {
    /// Creates a second level over a handle.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn new(handle: RedisHandle) -> Arc<Self> {
        let pending = Arc::new(Mutex::new(Pending::default()));
        tokio::spawn(replay(handle.clone(), Arc::downgrade(&pending)));
        Arc::new(Self { handle, pending, refusal_logged: AtomicBool::new(false) })
    }

    /// Converts the error of a script. A server that refuses one script (an access list, a proxy
    /// without scripts) refuses all, so one warning is enough.
    fn script_error(&self, error: Error) -> RemoteError {
        let refused = matches!(
            error,
            Error::Auth | Error::Protocol { .. } | Error::Server { cause: Cause::Permission }
        );
        if refused && !self.refusal_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "redis refuses scripts: instances load without leases and do not share values");
        }
        remote_error(error)
    }

    /// Returns the handle.
    pub fn handle(&self) -> &RedisHandle {
        &self.handle
    }

    /// Returns the number of writes that wait until an endpoint is back.
    pub fn pending_writes(&self) -> usize {
        self.pending.lock().writes.len()
    }
}

/// Makes the waiting writes each time an endpoint becomes active, while the remote exists.
async fn replay(handle: RedisHandle, pending: Weak<Mutex<Pending>>) {
    loop {
        let serves = tokio::time::timeout(Duration::from_secs(1), handle.changed()).await;
        let Some(pending) = pending.upgrade() else { return };
        if serves == Ok(false) || !handle.status().connected {
            continue;
        }
        let writes = pending.lock().take();
        for (key, write) in writes {
            let left = write.lifetime.saturating_sub(write.began.elapsed());
            if let Err(error) = put(&handle, &key, &write.value, left, Some(write.seen)).await
                && error.is_transient()
            {
                let mut pending = pending.lock();
                // A write of the key that was added meanwhile is newer.
                if !pending.writes.contains_key(&key) {
                    pending.push(key, write);
                }
            }
        }
    }
}

async fn put(
    handle: &RedisHandle,
    key: &str,
    value: &Bytes,
    lifetime: Duration,
    seen: Option<KeyVersion>,
) -> Result<bool, Error> {
    match seen {
        Some(seen) => {
            let millis = lifetime.as_millis().max(1).to_string();
            let args: [&[u8]; 3] = [&seen.0.to_le_bytes(), value, millis.as_bytes()];
            Ok(handle.eval(&WRITE, &[key], &args).await?.as_int()? == 1)
        }
        None => handle.set(key.as_bytes(), value, Some(lifetime)).await.map(|()| true),
    }
}

fn remote_error(error: Error) -> RemoteError {
    match error {
        Error::Protocol { code } => RemoteError::Refused { reason: code },
        other => RemoteError::Unavailable { kind: other.kind() },
    }
}

#[async_trait]
impl Remote for RedisRemote {
    async fn read(&self, space: &str, key: &Key) -> Result<Record, RemoteError> {
        match self.handle.get(entry_key(space, key).as_bytes()).await {
            Ok(Some(bytes)) => Ok(unframed(&bytes)),
            Ok(None) => Ok(Record::default()),
            Err(error) => Err(remote_error(error)),
        }
    }

    async fn write(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
        seen: KeyVersion,
    ) -> Result<bool, RemoteError> {
        let key = entry_key(space, key);
        let value = framed(ENTRY, seen, &entry);
        match put(&self.handle, &key, &value, lifetime, Some(seen)).await {
            Ok(stored) => Ok(stored),
            Err(error) if error.is_transient() => {
                self.pending.lock().push(key, Write { value, lifetime, began: Instant::now(), seen });
                Err(remote_error(error))
            }
            Err(error) => Err(self.script_error(error)),
        }
    }

    async fn replace(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
    ) -> Result<(), RemoteError> {
        let key = entry_key(space, key);
        let value = framed(ENTRY, KeyVersion::random(), &entry);
        self.pending.lock().forget(&key);
        match put(&self.handle, &key, &value, lifetime, None).await {
            Ok(_) => Ok(()),
            Err(error) => Err(remote_error(error)),
        }
    }

    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError> {
        let key = entry_key(space, key);
        self.pending.lock().forget(&key);
        let value = framed(TOMBSTONE, KeyVersion::random(), &[]);
        self.handle.delete_with_tombstone(key.as_bytes(), &value, tombstone).await.map_err(remote_error)
    }

    async fn tag_versions(&self, space: &str, scopes: &[Scope]) -> Result<Vec<TagVersion>, RemoteError> {
        let keys: Vec<String> = scopes.iter().map(|scope| version_key(space, scope)).collect();
        let values = self.handle.get_many(&keys).await.map_err(remote_error)?;
        let version = |value: Option<Bytes>| {
            let number = value.and_then(|bytes| bytes.as_ref().try_into().ok()).map(u64::from_le_bytes);
            number.map_or(TagVersion::NONE, TagVersion)
        };
        Ok(values.into_iter().map(version).collect())
    }

    async fn invalidate(&self, space: &str, scope: Scope, lifetime: Duration) -> Result<(), RemoteError> {
        let value = TagVersion::random().0.to_le_bytes();
        self.handle
            .delete_with_tombstone(version_key(space, &scope).as_bytes(), &value, lifetime)
            .await
            .map_err(remote_error)
    }

    async fn acquire(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError> {
        let millis = ttl.as_millis().max(1).to_string();
        let args: [&[u8]; 2] = [&token.to_le_bytes(), millis.as_bytes()];
        let taken = self.handle.eval(&ACQUIRE, &[lease_key(space, key)], &args).await;
        let taken = taken.and_then(|value| value.as_int()).map(|count| count == 1);
        taken.map_err(|error| self.script_error(error))
    }

    async fn renew(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError> {
        let millis = ttl.as_millis().max(1).to_string();
        let args: [&[u8]; 2] = [&token.to_le_bytes(), millis.as_bytes()];
        let renewed = self.handle.eval(&RENEW, &[lease_key(space, key)], &args).await;
        renewed.and_then(|value| value.as_int()).map(|count| count == 1).map_err(remote_error)
    }

    async fn release(&self, space: &str, key: &Key, token: u64) -> Result<(), RemoteError> {
        let released = self.handle.eval(&RELEASE, &[lease_key(space, key)], &[token.to_le_bytes()]).await;
        released.map(drop).map_err(remote_error)
    }

    async fn publish(&self, space: &str, message: Bytes) -> Result<(), RemoteError> {
        self.handle.publish(&format!("{space}:events"), &message).await.map(drop).map_err(remote_error)
    }

    fn subscribe(&self, space: &str) -> mpsc::Receiver<RemoteEvent> {
        let (sender, receiver) = mpsc::channel(1024);
        // Without a subscription the receiver ends at once: the listener verifies its entries and
        // tries again.
        let Ok(mut subscription) = self.handle.subscribe(&format!("{space}:events")) else { return receiver };
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = subscription.next() => match event {
                        Some(SubscriptionEvent::Connected { .. }) => RemoteEvent::Connected,
                        Some(SubscriptionEvent::Message(bytes)) => RemoteEvent::Message(bytes),
                        Some(SubscriptionEvent::Lost) => RemoteEvent::Lost,
                        None => return,
                    },
                    () = sender.closed() => return,
                };
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
