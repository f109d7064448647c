//! The second level in Redis.
//!
//! Reading is a plain `GET`, writing a script that compares the generation. A removal is a plain `SET` of a tombstone, which
//! can be repeated without harm, and which the handle repeats for an endpoint that was away. While no endpoint is reachable, writes
//! are kept here, the last one per key and within a bound, and made when one is back within [`REPLAY_WINDOW`]: they compare generations all the same, so
//! a late one can never undo a removal. What does not fit is dropped: it is only a cache.

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
use picarcade_redis::{Error, Event, RedisHandle};
use tokio::{sync::mpsc, time::Instant};

use super::{
    layout::{
        ACQUIRE, ENTRY, RELEASE, RENEW, TOMBSTONE, WRITE, entry_key, framed, lease_key, mark_key, unframed,
    },
    pending::{Pending, Write},
};
use crate::{
    Key, RemoteError,
    level2::remote::{Generation, Mark, Record, Remote, RemoteEvent},
};

/// A [`Remote`] over a [`RedisHandle`]. Several caches may share one.
pub struct RedisRemote {
    handle: RedisHandle,
    pending: Arc<Mutex<Pending>>,
    /// Whether the log has said that scripts are refused.
    refusal_logged: AtomicBool,
}

impl fmt::Debug for RedisRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRemote").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl RedisRemote {
    /// A second level over this handle.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(handle: RedisHandle) -> Arc<Self> {
        let pending = Arc::new(Mutex::new(Pending::default()));
        tokio::spawn(replay(handle.clone(), Arc::downgrade(&pending)));
        Arc::new(Self { handle, pending, refusal_logged: AtomicBool::new(false) })
    }

    /// The error of a script. A server that refuses scripts by its access list, or does not know
    /// them, refuses all: the log says once what that means.
    fn script_error(&self, error: Error) -> RemoteError {
        let refused = matches!(error, Error::Auth | Error::Protocol { .. });
        if refused && !self.refusal_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "redis refuses scripts: instances do not share what they load");
        }
        remote_error(error)
    }

    /// The handle underneath.
    pub fn handle(&self) -> &RedisHandle {
        &self.handle
    }

    /// Writes that wait for an endpoint.
    pub fn pending_writes(&self) -> usize {
        self.pending.lock().writes.len()
    }
}

/// Makes the writes that waited, each time an endpoint begins to serve, for as long as the remote lives.
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
                // Whoever wrote the key meanwhile was later.
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
    seen: Option<Generation>,
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
        seen: Generation,
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
        let value = framed(ENTRY, Generation::fresh(), &entry);
        self.pending.lock().forget(&key);
        match put(&self.handle, &key, &value, lifetime, None).await {
            Ok(_) => Ok(()),
            Err(error) => Err(remote_error(error)),
        }
    }

    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError> {
        let key = entry_key(space, key);
        self.pending.lock().forget(&key);
        let marker = framed(TOMBSTONE, Generation::fresh(), &[]);
        self.handle.bury(key.as_bytes(), &marker, tombstone).await.map_err(remote_error)
    }

    async fn marks(&self, space: &str, marks: &[Mark]) -> Result<Vec<u64>, RemoteError> {
        let keys: Vec<String> = marks.iter().map(|mark| mark_key(space, mark)).collect();
        let values = self.handle.get_many(&keys).await.map_err(remote_error)?;
        let number = |value: Option<Bytes>| {
            value.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        Ok(values.into_iter().map(number).collect())
    }

    async fn raise(&self, space: &str, mark: Mark, lifetime: Duration) -> Result<(), RemoteError> {
        let value = Generation::fresh().0.to_le_bytes();
        self.handle.bury(mark_key(space, &mark).as_bytes(), &value, lifetime).await.map_err(remote_error)
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
        // Without one the events end at once: the listener doubts what it keeps, and tries again.
        let Ok(mut subscription) = self.handle.subscribe(&format!("{space}:events")) else { return receiver };
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = subscription.next() => match event {
                        Some(Event::Connected { .. }) => RemoteEvent::Connected,
                        Some(Event::Message(bytes)) => RemoteEvent::Message(bytes),
                        Some(Event::Lost) => RemoteEvent::Lost,
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
