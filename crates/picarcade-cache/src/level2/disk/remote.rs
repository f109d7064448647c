//! A [`Remote`] in a file, for one process.
//!
//! Reads run on the blocking threads of tokio, changes on a thread of their own. Leases and
//! messages concern this process alone, because no other process can open the directory. They are
//! in memory.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    error::{DiskError, Fault},
    inbox::{Inbox, Job, Waiting},
    record::{Name, Stored, entry_name, millis, now_ms},
    store::{Change, Totals, create_private, open_private},
    writer::{Shared, Writer, open_or_recreate},
};
use crate::{
    Key, RemoteError,
    level2::remote::{KeyVersion, Record, Remote, RemoteEvent, Scope, TagVersion},
};

/// How many writes may wait for the disk. Further ones are dropped.
const MAX_QUEUED: usize = 1024;

/// The lowest limit of the space on disk. The pages of one commit must fit in addition to the
/// records.
const MIN_BYTES: u64 = 16 << 20;

/// How many reads run at the same time.
const MAX_READS: usize = 16;

/// How long a call waits for the disk.
const DEADLINE: Duration = Duration::from_secs(5);

/// How many leases are kept before the expired ones are removed.
const LEASES_BEFORE_CLEANING: usize = 4096;

/// A [`Remote`] on the disk of this machine, for a program without Redis: after a restart, the
/// values are still there. Several caches may share it.
///
/// One process uses a directory at a time. The space on disk stays below a limit (the file is
/// sparse, so its length may be larger). At the limit, the records that were written first are
/// evicted. Expired records are removed in the background. A record is on disk when its write
/// returns: a crash or a kill loses at most the writes under way, and never brings back a value
/// that was removed.
///
/// ```no_run
/// # use picarcade_cache::{Cache, DiskRemote};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let disk = DiskRemote::open("./cache", 256 << 20).await?;
/// let answers = Cache::<String>::builder("answers").remote(disk).build()?;
/// # Ok(()) }
/// ```
///
/// Dropping the last handle waits until the queued writes are on disk.
pub struct DiskRemote {
    shared: Arc<Shared>,
    /// `None` only while the handle is dropped.
    jobs: Option<std::sync::mpsc::Sender<Job>>,
    /// The places in the queue of the writer, for writes and for invalidations.
    writes: Arc<Semaphore>,
    flushes: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
    reads: Arc<Semaphore>,
    /// The token and the end of each lease.
    leases: Mutex<HashMap<Name, (u64, Instant)>>,
    listeners: Mutex<HashMap<String, Vec<mpsc::Sender<RemoteEvent>>>>,
    failed: AtomicU64,
    /// The lock of the directory, which ends with the handle.
    _lock: std::fs::File,
}

impl fmt::Debug for DiskRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskRemote")
            .field("path", &self.shared.path)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The state of a [`DiskRemote`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStatus {
    /// Whether the file can be used now.
    pub available: bool,
    /// The records in the file, with the tombstones of removed keys.
    pub entries: u64,
    /// The bytes that the records take in the file, estimated.
    pub bytes: u64,
    /// The limit of the space on disk in bytes.
    pub max_bytes: u64,
    /// The records evicted since the start, for lack of room.
    pub evictions: u64,
    /// The faults of the disk and the file since the start.
    pub faults: u64,
    /// The calls since the start that failed.
    pub failed_calls: u64,
}

impl DiskRemote {
    /// Opens the directory, or creates it with mode 0700, and the file in it with mode 0600.
    /// `max_bytes` limits the space on disk; less than 16 MiB count as 16 MiB.
    ///
    /// An existing file is verified first, which reads all of it. A file that is damaged or of
    /// another version is deleted and created again, with a warning in the log.
    ///
    /// # Errors
    ///
    /// Returns [`DiskError::InUse`] if another process uses the directory, and
    /// [`DiskError::Directory`] if it cannot be written.
    pub async fn open(directory: impl Into<PathBuf>, max_bytes: u64) -> Result<Arc<Self>, DiskError> {
        let directory = directory.into();
        let path = directory.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&directory, max_bytes));
        opened
            .await
            .unwrap_or_else(|error| Err(DiskError::Directory { path, source: std::io::Error::other(error) }))
    }

    fn open_blocking(directory: &Path, max_bytes: u64) -> Result<Arc<Self>, DiskError> {
        let unusable = |source| DiskError::Directory { path: directory.to_owned(), source };
        create_private(directory).map_err(unusable)?;
        let lock = open_private(&directory.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(DiskError::InUse { path: directory.to_owned() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let path = directory.join("cache.redb");
        let max_bytes = max_bytes.max(MIN_BYTES);
        let from_fault = |fault: Fault| match fault {
            Fault::Io(kind) => unusable(kind.into()),
            other => unusable(std::io::Error::other(other.kind())),
        };
        let store = open_or_recreate(&path, max_bytes).map_err(from_fault)?;
        let versions = store.versions().map_err(from_fault)?;
        let totals = store.totals().map_err(from_fault)?;
        let shared = Arc::new(Shared {
            path,
            max_bytes,
            store: RwLock::new(Some(store)),
            inbox: Mutex::new(Inbox::loaded(versions, now_ms())),
            totals: Mutex::new(totals),
            faults: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        });
        let (sender, receiver) = std::sync::mpsc::channel();
        let writer = Writer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("cache-disk".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(unusable)?;
        Ok(Arc::new(Self {
            shared,
            jobs: Some(sender),
            writes: Arc::new(Semaphore::new(MAX_QUEUED)),
            flushes: Arc::new(Semaphore::new(MAX_QUEUED)),
            thread: Some(thread),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            leases: Mutex::default(),
            listeners: Mutex::default(),
            failed: AtomicU64::new(0),
            _lock: lock,
        }))
    }

    /// Returns the state of the file, without a call of the disk.
    pub fn status(&self) -> DiskStatus {
        let Totals { bytes, records, .. } = *self.shared.totals.lock();
        DiskStatus {
            // A writer that replaces the file holds the lock.
            available: self.shared.store.try_read().is_some_and(|store| store.is_some()),
            entries: records,
            bytes,
            max_bytes: self.shared.max_bytes,
            evictions: self.shared.evictions.load(Ordering::Relaxed),
            faults: self.shared.faults.load(Ordering::Relaxed),
            failed_calls: self.failed.load(Ordering::Relaxed),
        }
    }

    fn fail<T>(&self, kind: &'static str) -> Result<T, RemoteError> {
        self.failed.fetch_add(1, Ordering::Relaxed);
        Err(RemoteError::Unavailable { kind })
    }

    /// Reads a record on a blocking thread.
    async fn stored(&self, name: Vec<u8>) -> Result<Option<Stored>, RemoteError> {
        let shared = Arc::clone(&self.shared);
        let reads = Arc::clone(&self.reads);
        let read = async {
            let Ok(permit) = reads.acquire_owned().await else { return Err(Fault::Damaged) };
            let read = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                shared.with_store(|store| store.read(&name, now_ms()))
            });
            read.await.unwrap_or(Err(Fault::Io(std::io::ErrorKind::Interrupted)))
        };
        match timeout(DEADLINE, read).await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(fault)) => {
                if fault == Fault::Damaged
                    && let Some(jobs) = &self.jobs
                {
                    let _ = jobs.send(Job::Damaged);
                }
                self.fail(fault.kind())
            }
            Err(_) => self.fail("timeout"),
        }
    }

    /// Waits until the invalidations in the inbox hold on disk too.
    async fn flush(&self) -> Result<(), RemoteError> {
        let (done, answer) = oneshot::channel();
        let closed = RemoteError::Unavailable { kind: "closed" };
        let flushed = async {
            let permit = Arc::clone(&self.flushes).acquire_owned().await.map_err(|_| closed.clone())?;
            let jobs = self.jobs.as_ref().ok_or(closed.clone())?;
            jobs.send(Job::Flush { done, _permit: permit }).map_err(|_| closed.clone())?;
            answer.await.unwrap_or(Err(closed))
        };
        let result = timeout(DEADLINE, flushed).await;
        let result = result.unwrap_or(Err(RemoteError::Unavailable { kind: "timeout" }));
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn put(
        &self,
        space: &str,
        key: &Key,
        entry: Option<Bytes>,
        lifetime: Duration,
    ) -> Result<(), RemoteError> {
        let expires_ms = now_ms().saturating_add(millis(lifetime));
        let waiting = Waiting { entry, expires_ms, version: KeyVersion::random() };
        self.shared.inbox.lock().put(entry_name(space, key), waiting);
        self.flush().await
    }
}

impl Drop for DiskRemote {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The thread catches the panics of the database, and none is of interest here.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Remote for DiskRemote {
    async fn read(&self, space: &str, key: &Key) -> Result<Record, RemoteError> {
        let name = entry_name(space, key);
        let waiting = self.shared.inbox.lock().record(&name, now_ms());
        if let Some(record) = waiting {
            return Ok(record);
        }
        let stored = self.stored(name).await?;
        Ok(stored.map_or(Record::default(), |stored| Record { version: stored.version, entry: stored.entry }))
    }

    async fn write(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
        seen: KeyVersion,
    ) -> Result<bool, RemoteError> {
        let expires_ms = now_ms().saturating_add(millis(lifetime));
        let change = Change::Write { name: entry_name(space, key), entry, expires_ms, seen };
        let (done, answer) = oneshot::channel();
        let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else { return self.fail("queue_full") };
        let Some(jobs) = &self.jobs else { return self.fail("closed") };
        if jobs.send(Job::Write { change, done, _permit: permit }).is_err() {
            return self.fail("closed");
        }
        match timeout(DEADLINE, answer).await {
            Ok(Ok(Ok(made))) => Ok(made),
            Ok(Ok(Err(error))) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
            Ok(Err(_)) => self.fail("closed"),
            Err(_) => self.fail("timeout"),
        }
    }

    async fn replace(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
    ) -> Result<(), RemoteError> {
        self.put(space, key, Some(entry), lifetime).await
    }

    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError> {
        self.put(space, key, None, tombstone).await
    }

    async fn tag_versions(&self, space: &str, scopes: &[Scope]) -> Result<Vec<TagVersion>, RemoteError> {
        let (inbox, now_ms) = (self.shared.inbox.lock(), now_ms());
        Ok(scopes.iter().map(|scope| inbox.version(space, *scope, now_ms)).collect())
    }

    async fn invalidate(&self, space: &str, scope: Scope, lifetime: Duration) -> Result<(), RemoteError> {
        let now = now_ms();
        self.shared.inbox.lock().invalidate(space, scope, now.saturating_add(millis(lifetime)), now);
        self.flush().await
    }

    async fn acquire(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError> {
        let (name, now) = (entry_name(space, key), Instant::now());
        let mut leases = self.leases.lock();
        if leases.len() >= LEASES_BEFORE_CLEANING {
            leases.retain(|_, (_, until)| now < *until);
        }
        let is_taken = leases.get(&name).is_some_and(|(holder, until)| now < *until && *holder != token);
        if !is_taken {
            leases.insert(name, (token, now + ttl));
        }
        Ok(!is_taken)
    }

    async fn renew(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError> {
        let now = Instant::now();
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(&entry_name(space, key));
        let Some(lease) = lease.filter(|(holder, until)| *holder == token && now < *until) else {
            return Ok(false);
        };
        lease.1 = now + ttl;
        Ok(true)
    }

    async fn release(&self, space: &str, key: &Key, token: u64) -> Result<(), RemoteError> {
        let name = entry_name(space, key);
        let mut leases = self.leases.lock();
        if leases.get(&name).is_some_and(|(holder, _)| *holder == token) {
            leases.remove(&name);
        }
        Ok(())
    }

    async fn publish(&self, space: &str, message: Bytes) -> Result<(), RemoteError> {
        if let Some(listeners) = self.listeners.lock().get_mut(space) {
            // A subscriber that is too slow is removed. It sees the end of its events and verifies
            // its entries.
            listeners.retain(|listener| listener.try_send(RemoteEvent::Message(message.clone())).is_ok());
        }
        Ok(())
    }

    fn subscribe(&self, space: &str) -> mpsc::Receiver<RemoteEvent> {
        let (sender, receiver) = mpsc::channel(1024);
        // The new channel is empty, so this cannot fail.
        let _ = sender.try_send(RemoteEvent::Connected);
        self.listeners.lock().entry(space.to_owned()).or_default().push(sender);
        receiver
    }
}
