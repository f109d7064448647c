//! The second level in Redis.
//!
//! | key (under the handle's prefix) | value |
//! | --- | --- |
//! | `SPACE:e:KEY` | `E` or `T` (tombstone), the generation (8 bytes), the entry |
//! | `SPACE:m:clear`, `SPACE:m:TAG` | a mark: 8 bytes |
//! | `SPACE:l:KEY` | a lease: its holder's token; empty when it was given back |
//! | channel `SPACE:events` | messages |
//!
//! Reading is a plain `GET`, writing a script that compares the generation. A removal is a plain `SET` of a tombstone, which
//! can be repeated without harm, and which the handle repeats for an endpoint that was away. While no endpoint is reachable, writes
//! are kept here, the last one per key and within a bound, and made when one is back within [`REPLAY_WINDOW`]: they compare generations all the same, so
//! a late one can never undo a removal. What does not fit is dropped: it is only a cache.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use picarcade_redis::{Error, Event, RedisHandle, Script};
use tokio::{sync::mpsc, time::Instant};

use super::{Generation, Mark, REPLAY_WINDOW, Record, Remote, RemoteEvent};
use crate::{Key, RemoteError};

const ENTRY: u8 = b'E';
const TOMBSTONE: u8 = b'T';

static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_write",
        "local head = redis.call('GETRANGE', KEYS[1], 0, 8)\n\
         if #head == 9 and string.sub(head, 2) ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n\
         return 1",
    )
});

// The three scripts of leases call nothing but GET and SET. So an account that may take a lease may
// also renew it and give it back, whatever its access list denies.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_lease_acquire",
        "local holder = redis.call('GET', KEYS[1])\n\
         if holder and holder ~= '' and holder ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
         return 1",
    )
});

static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_lease_renew",
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
         return 1",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_lease_release",
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], '', 'PX', 1)\n\
         return 1",
    )
});

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

/// Writes that wait for an endpoint.
#[derive(Debug, Default)]
struct Pending {
    writes: HashMap<String, Write>,
    bytes: usize,
}

#[derive(Debug)]
struct Write {
    value: Bytes,
    lifetime: Duration,
    began: Instant,
    seen: Generation,
}

impl Pending {
    const MAX_WRITES: usize = 4096;
    const MAX_BYTES: usize = 16 << 20;

    fn push(&mut self, key: String, write: Write) {
        self.forget(&key);
        if self.writes.len() < Self::MAX_WRITES && self.bytes + write.value.len() <= Self::MAX_BYTES {
            self.bytes += write.value.len();
            self.writes.insert(key, write);
        }
    }

    fn forget(&mut self, key: &str) {
        if let Some(write) = self.writes.remove(key) {
            self.bytes -= write.value.len();
        }
    }

    /// Takes out what may still be made.
    fn take(&mut self) -> HashMap<String, Write> {
        self.bytes = 0;
        let mut writes = std::mem::take(&mut self.writes);
        writes.retain(|_, write| write.began.elapsed() < REPLAY_WINDOW.min(write.lifetime));
        writes
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

fn entry_key(space: &str, key: &Key) -> String {
    // Made for every read: without the detour of formatting.
    [space, ":e:", &*key.hex()].concat()
}

fn lease_key(space: &str, key: &Key) -> String {
    [space, ":l:", &*key.hex()].concat()
}

fn mark_key(space: &str, mark: &Mark) -> String {
    match mark {
        Mark::Clear => format!("{space}:m:clear"),
        Mark::Tag(tag) => format!("{space}:m:{:016x}", tag.id()),
    }
}

fn framed(kind: u8, generation: Generation, entry: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(9 + entry.len());
    out.put_u8(kind);
    out.put_u64_le(generation.0);
    out.put_slice(entry);
    out.freeze()
}

fn unframed(bytes: &Bytes) -> Record {
    match bytes.split_first_chunk::<9>() {
        Some(([kind, generation @ ..], _)) => Record {
            generation: Generation(u64::from_le_bytes(*generation)),
            entry: match *kind {
                ENTRY => Some(bytes.slice(9..)),
                TOMBSTONE => None,
                _ => Some(Bytes::new()),
            },
        },
        // Not ours, as above. An empty entry decodes to nothing, is counted, and is overwritten.
        None => Record { generation: Generation::NONE, entry: Some(Bytes::new()) },
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

#[cfg(test)]
mod tests {
    use super::{Generation, Pending, REPLAY_WINDOW, Write};
    use bytes::Bytes;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    fn write(size: usize, lifetime: Duration) -> Write {
        Write { value: Bytes::from(vec![0; size]), lifetime, began: Instant::now(), seen: Generation::NONE }
    }

    #[test]
    fn waiting_writes_are_bounded_in_number_and_in_bytes_and_the_last_one_wins() {
        let mut pending = Pending::default();
        for n in 0..Pending::MAX_WRITES + 10 {
            pending.push(n.to_string(), write(1, Duration::from_secs(60)));
        }
        assert_eq!((pending.writes.len(), pending.bytes), (Pending::MAX_WRITES, Pending::MAX_WRITES));
        pending.push("7".into(), write(5, Duration::from_secs(60)));
        assert_eq!(pending.writes["7"].value.len(), 5, "of a key that waits already the last one is kept");
        pending.forget("7");
        assert_eq!(pending.bytes, Pending::MAX_WRITES - 1);
        assert_eq!(pending.take().len(), Pending::MAX_WRITES - 1);
        let large = Pending::MAX_BYTES / 3;
        for key in ["a", "b", "c", "d"] {
            pending.push(key.into(), write(large, Duration::from_secs(60)));
        }
        assert_eq!((pending.writes.len(), pending.bytes), (3, large * 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_does_not_wait_longer_than_tombstones_last() {
        let mut pending = Pending::default();
        pending.push("old".into(), write(1, Duration::from_secs(3600)));
        advance(REPLAY_WINDOW / 2).await;
        pending.push("new".into(), write(1, Duration::from_secs(3600)));
        pending.push("short".into(), write(1, Duration::from_secs(1)));
        advance(REPLAY_WINDOW / 2).await;
        assert_eq!(pending.take().into_keys().collect::<Vec<_>>(), ["new"]);
    }
}
