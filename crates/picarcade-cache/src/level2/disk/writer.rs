//! The thread that changes the file.
//!
//! It groups what waits in one durable commit, so that a burst costs few calls of `fsync`. If the
//! disk fails, the thread decides what remains true:
//!
//! | fault | reaction |
//! | --- | --- |
//! | a write is not possible | the write is dropped; the file is opened again after a pause |
//! | an invalidation is not possible | the file is deleted, because that needs no space |
//! | the file is damaged, or the database panics | the file is deleted and created again |
//! | the inbox overflows | the file is deleted, and the level stays off until the next start |

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::{
    error::Fault,
    inbox::{Inbox, Job},
    record::now_ms,
    store::{Change, Store, Totals},
};
use crate::RemoteError;

/// How many jobs share one commit.
const MAX_BATCH: usize = 256;

/// How many bytes of entries share one commit, beyond the first: a commit keeps the pages that it
/// replaces.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// How often expired records are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The pause before a file that could not be used is opened again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What the writer and the callers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) max_bytes: u64,
    /// The open file, or `None` while it cannot be used.
    pub(super) store: RwLock<Option<Store>>,
    pub(super) inbox: Mutex<Inbox>,
    pub(super) totals: Mutex<Totals>,
    pub(super) faults: AtomicU64,
    pub(super) evictions: AtomicU64,
}

impl Shared {
    /// Runs a call of the store. A panic of the database counts as damage.
    pub(super) fn with_store<T>(&self, call: impl FnOnce(&Store) -> Result<T, Fault>) -> Result<T, Fault> {
        let store = self.store.read();
        let Some(store) = store.as_ref() else { return Err(Fault::Io(std::io::ErrorKind::NotConnected)) };
        catch_unwind(AssertUnwindSafe(|| call(store))).unwrap_or(Err(Fault::Damaged))
    }
}

/// Opens the file. A damaged file is deleted and created again, with one warning.
pub(super) fn open_or_recreate(path: &std::path::Path, max_bytes: u64) -> Result<Store, Fault> {
    let open = || {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let store = Store::open(path, max_bytes)?;
            store.versions()?;
            Ok(store)
        }));
        opened.unwrap_or(Err(Fault::Damaged))
    };
    match open() {
        Err(Fault::Damaged) => {
            tracing::warn!(path = %path.display(), "the cache file is damaged and is created again");
            Store::delete(path).map_err(redb::StorageError::Io)?;
            open()
        }
        opened => opened,
    }
}

/// The state of the thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    cursor: u64,
    last_sweep: Instant,
    /// When the file may be opened again.
    retry_at: Instant,
    /// Whether the log contains the warning about the present outage.
    outage_logged: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self { shared, cursor: 0, last_sweep: now, retry_at: now, outage_logged: false }
    }

    /// Runs until every sender is gone and the queue is empty.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let batch: Vec<Job> = match jobs.recv_timeout(SWEEP_INTERVAL) {
                Ok(first) => batch_of(first, jobs),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.reopen_if_due();
            self.handle(batch);
            if self.last_sweep.elapsed() >= SWEEP_INTERVAL {
                self.sweep();
            }
        }
        *self.shared.store.write() = None;
    }

    fn handle(&mut self, batch: Vec<Job>) {
        let mut writes = Vec::new();
        let mut flushes = Vec::new();
        let mut is_damaged = false;
        for job in batch {
            match job {
                Job::Write { change, done, .. } => writes.push((change, done)),
                Job::Flush { done, .. } => flushes.push(done),
                Job::Damaged => is_damaged = true,
            }
        }
        if is_damaged && self.shared.store.read().is_some() {
            self.fault(Fault::Damaged);
            // The answer of this batch reports a file that cannot be deleted.
            let _ = self.replace_file();
        }
        let result = self.commit(writes);
        for done in flushes {
            let _ = done.send(result.clone());
        }
    }

    /// Writes the inbox and the writes. Returns whether the invalidations hold.
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), RemoteError> {
        if self.shared.inbox.lock().overflowed() {
            self.close();
            let deleted = self.delete();
            refuse(writes, "overflowed");
            return deleted;
        }
        let changes = self.shared.inbox.lock().changes();
        let has_invalidations = !changes.is_empty();
        let (writes, answers): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let all: Vec<Change> = changes.iter().cloned().chain(writes).collect();
        if all.is_empty() {
            return Ok(());
        }
        match self.apply(all) {
            Ok(made) => {
                self.shared.inbox.lock().saved(&changes);
                for (done, made) in answers.into_iter().zip(made.into_iter().skip(changes.len())) {
                    let _ = done.send(Ok(made));
                }
                self.outage_logged = false;
                Ok(())
            }
            Err(fault) => {
                for done in answers {
                    let _ = done.send(Err(RemoteError::Unavailable { kind: fault.kind() }));
                }
                let was_open = self.shared.store.read().is_some();
                if was_open {
                    self.fault(fault);
                }
                if fault == Fault::Damaged || has_invalidations {
                    return self.replace_file();
                }
                if was_open {
                    // After an error, the database refuses every call until it is opened again.
                    self.close();
                }
                Ok(())
            }
        }
    }

    fn apply(&self, changes: Vec<Change>) -> Result<Vec<bool>, Fault> {
        let (made, totals) = self.shared.with_store(|store| store.apply(changes, now_ms()))?;
        self.record(totals);
        Ok(made)
    }

    fn record(&self, totals: Totals) {
        self.shared.evictions.fetch_add(totals.evicted, Ordering::Relaxed);
        *self.shared.totals.lock() = totals;
    }

    /// Deletes the file and creates it again with the invalidations that still matter. Returns
    /// whether no old entry can be read any more.
    fn replace_file(&mut self) -> Result<(), RemoteError> {
        self.close();
        self.delete()?;
        self.retry_at = Instant::now();
        self.reopen_if_due();
        Ok(())
    }

    fn delete(&self) -> Result<(), RemoteError> {
        *self.shared.totals.lock() = Totals::default();
        Store::delete(&self.shared.path).map_err(|error| {
            tracing::warn!(%error, "the cache file cannot be deleted");
            RemoteError::Unavailable { kind: "disk_error" }
        })
    }

    fn close(&mut self) {
        *self.shared.store.write() = None;
        self.retry_at = Instant::now() + RETRY_PAUSE;
    }

    /// Opens the file after a fault. A new file gets every version and waiting removal first.
    fn reopen_if_due(&mut self) {
        let is_closed = self.shared.store.read().is_none();
        if !is_closed || Instant::now() < self.retry_at || self.shared.inbox.lock().overflowed() {
            return;
        }
        self.retry_at = Instant::now() + RETRY_PAUSE;
        let opened = open_or_recreate(&self.shared.path, self.shared.max_bytes).and_then(|store| {
            let mut inbox = self.shared.inbox.lock();
            inbox.forget_saved();
            let changes = inbox.changes();
            drop(inbox);
            let applied = catch_unwind(AssertUnwindSafe(|| store.apply(changes.clone(), now_ms())));
            let (_, totals) = applied.unwrap_or(Err(Fault::Damaged))?;
            Ok((store, changes, totals))
        });
        match opened {
            Ok((store, changes, totals)) => {
                self.shared.inbox.lock().saved(&changes);
                self.record(totals);
                *self.shared.store.write() = Some(store);
                tracing::info!("the cache file is in use again");
            }
            Err(fault) => self.fault(fault),
        }
    }

    fn sweep(&mut self) {
        self.last_sweep = Instant::now();
        let swept = self.shared.with_store(|store| store.sweep(self.cursor, now_ms()));
        match swept {
            Ok((cursor, totals)) => {
                self.cursor = cursor;
                self.record(totals);
            }
            Err(Fault::Damaged) => {
                self.fault(Fault::Damaged);
                let _ = self.replace_file();
            }
            Err(fault) if self.shared.store.read().is_some() => {
                self.fault(fault);
                self.close();
            }
            Err(_) => {}
        }
    }

    /// Counts a fault, and logs the first one of an outage.
    fn fault(&mut self, fault: Fault) {
        self.shared.faults.fetch_add(1, Ordering::Relaxed);
        if !self.outage_logged {
            self.outage_logged = true;
            tracing::warn!(kind = fault.kind(), "the cache on disk cannot be used; memory continues");
        }
    }
}

/// Returns the jobs that wait, up to the limits of a commit.
fn batch_of(first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.bytes();
        batch.push(job);
    }
    batch
}

/// A write and the caller that waits for it.
type Write = (Change, oneshot::Sender<Result<bool, RemoteError>>);

fn refuse(writes: Vec<Write>, kind: &'static str) {
    for (_, done) in writes {
        let _ = done.send(Err(RemoteError::Unavailable { kind }));
    }
}
