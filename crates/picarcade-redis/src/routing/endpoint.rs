//! One Redis endpoint: its connection, its health, and the invalidations that it missed.
//!
//! Results of commands and a supervisor determine the health. The supervisor probes with a small
//! *write*, because a replica or a primary with a full disk still answers `PING`. A fatal failure
//! or several failures in a row end a connection. The supervisor then creates a new one, replays
//! the missed invalidations, and only then activates it. No command waits for this: without a
//! connection, commands fail at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    Cause, Condition, Config, Connector, Driver, Error,
    routing::{
        connection::{Live, SharedReads},
        journal::{Invalidation, Journal, Replay},
    },
};

/// The number of invalidations replayed at a time.
const REPLAY_BATCH: usize = 256;
/// The timeout of a purge, which scans every key of a server.
const PURGE_TIMEOUT: Duration = Duration::from_secs(60);
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Endpoint {
    connector: Arc<dyn Connector>,
    live: ArcSwapOption<Live>,
    /// Whether the first attempt to connect has ended.
    tried: AtomicBool,
    failures: AtomicU32,
    threshold: u32,
    journal: Mutex<Journal>,
    /// Wakes the supervisor before its next probe is due.
    pub(crate) wake: Notify,
    latency_micros: AtomicU64,
    memory: AtomicU64,
    last_error: Mutex<Option<(Error, Cause)>>,
}

impl Endpoint {
    pub(crate) fn new(connector: Arc<dyn Connector>, config: &Config) -> Self {
        Self {
            connector,
            live: ArcSwapOption::empty(),
            tried: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            threshold: config.failure_threshold,
            journal: Mutex::new(Journal::new(config.journal_capacity)),
            wake: Notify::new(),
            latency_micros: AtomicU64::new(UNKNOWN),
            memory: AtomicU64::new(UNKNOWN),
            last_error: Mutex::new(None),
        }
    }

    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// Returns whether the endpoint is connected and knows every invalidation.
    pub(crate) fn is_up(&self) -> bool {
        self.live.load().is_some() && self.journal.lock().is_empty()
    }

    /// Returns whether the endpoint is connected or has failed to connect at least once.
    pub(crate) fn was_tried(&self) -> bool {
        self.tried.load(Ordering::Acquire)
    }

    pub(crate) fn missed(&self) -> usize {
        self.journal.lock().len()
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        known(&self.latency_micros).map(Duration::from_micros)
    }

    pub(crate) fn memory(&self) -> Option<u64> {
        known(&self.memory)
    }

    /// Returns the cause of the last failure.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.last_error.lock().as_ref().map(|(_, cause)| *cause)
    }

    /// Returns why the endpoint is not available: a configuration error, or else that it cannot be
    /// reached now.
    pub(crate) fn reason(&self) -> Error {
        let last = self.last_error.lock();
        let fatal = last.as_ref().map(|(error, _)| error).filter(|error| !error.is_transient());
        fatal.cloned().unwrap_or(Error::Refused)
    }

    /// Records the outcome of a command. Returns whether it ended the connection.
    pub(crate) fn report(&self, live: &Arc<Live>, failure: Option<&Error>) -> bool {
        let Some(error) = failure.filter(|error| error.blames_endpoint()) else {
            // Read before write: on a healthy path the cache line stays shared between cores.
            if self.failures.load(Ordering::Relaxed) != 0 {
                self.failures.store(0, Ordering::Relaxed);
            }
            return false;
        };
        *self.last_error.lock() = Some((error.clone(), error.cause()));
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        (failures >= self.threshold || error.ends_connection()) && self.take_down(live)
    }

    /// Ends this connection unless another one has already replaced it.
    fn take_down(&self, live: &Arc<Live>) -> bool {
        let seen = self.live.load();
        let ours = seen.as_ref().is_some_and(|current| Arc::ptr_eq(current, live));
        if !ours {
            return false;
        }
        let previous = self.live.compare_and_swap(&*seen, None);
        let ended = previous.as_ref().is_some_and(|current| Arc::ptr_eq(current, live));
        if ended {
            self.wake.notify_one();
        }
        ended
    }

    /// Stores an invalidation that could not be executed now.
    pub(crate) fn miss(&self, key: Bytes, invalidation: Invalidation) {
        self.journal.lock().record(key, invalidation);
        self.wake.notify_one();
    }

    /// Records an invalidation that was executed.
    pub(crate) fn record_confirmed(&self, key: Bytes, invalidation: Invalidation) {
        self.journal.lock().record_confirmed(Instant::now(), key, invalidation);
    }

    /// Returns the connection for an invalidation, or stores it in the journal without a
    /// connection. One lock covers both, so that no invalidation is lost between "not yet
    /// connected" and "journal already replayed".
    pub(crate) fn live_or_miss(&self, key: &Bytes, invalidation: &Invalidation) -> Option<Arc<Live>> {
        let mut journal = self.journal.lock();
        let live = self.live.load_full();
        if live.is_none() {
            journal.record(key.clone(), invalidation.clone());
        }
        live
    }

    /// Creates a connection, checks it, replays the missed invalidations, and activates it.
    pub(crate) async fn establish(&self, config: &Config, epoch: u64) -> Result<(), Cause> {
        let failed = match self.try_establish(config, epoch).await {
            Ok(()) => None,
            Err(error) => {
                let cause = self.connector.explain(&error).await;
                Some((error, cause))
            }
        };
        let cause = failed.as_ref().map(|(_, cause)| *cause);
        *self.last_error.lock() = failed;
        self.tried.store(true, Ordering::Release);
        cause.map_or(Ok(()), Err)
    }

    async fn try_establish(&self, config: &Config, epoch: u64) -> Result<(), Error> {
        let connect = timeout(config.connect_timeout, self.connector.connect());
        let driver = connect.await.unwrap_or(Err(Error::Timeout))?;
        self.probe(&*driver, config, epoch).await?;
        self.journal.lock().reconnected(Instant::now());
        loop {
            self.replay(&*driver, config).await?;
            // Under the lock of the journal: later invalidations use the connection instead of the
            // journal.
            let journal = self.journal.lock();
            if journal.is_empty() {
                self.failures.store(0, Ordering::Relaxed);
                self.live.store(Some(Arc::new(Live { driver, reads: SharedReads::default(), epoch })));
                return Ok(());
            }
        }
    }

    /// Probes the active connection. Returns whether the probe ended it.
    pub(crate) async fn check(&self, config: &Config, round: u64) -> bool {
        let Some(live) = self.live() else { return true };
        let outcome = match self.probe(&*live.driver, config, round).await {
            Ok(()) => self.replay(&*live.driver, config).await,
            Err(error) => Err(error),
        };
        self.report(&live, outcome.as_ref().err())
    }

    /// Writes a key and, at intervals, reads the memory in use.
    async fn probe(&self, driver: &dyn Driver, config: &Config, round: u64) -> Result<(), Error> {
        // Different keys live on different nodes of a cluster.
        let key = format!("{}probe:{}", config.prefix, round % 64);
        let began = Instant::now();
        let write = driver.set(key.as_bytes(), b"1", Some(Duration::from_secs(60)), Condition::Always);
        timeout(config.command_timeout, write).await.unwrap_or(Err(Error::Timeout))?;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(UNKNOWN - 1);
        self.latency_micros.store(micros, Ordering::Relaxed);
        if round.is_multiple_of(8)
            // Some providers forbid INFO; the memory is then unknown.
            && let Ok(Ok(info)) = timeout(config.command_timeout, driver.info("memory")).await
        {
            let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
            self.memory.store(used.unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
        Ok(())
    }

    async fn replay(&self, driver: &dyn Driver, config: &Config) -> Result<(), Error> {
        loop {
            let step = self.journal.lock().replay(REPLAY_BATCH);
            match step {
                Replay::Nothing => return Ok(()),
                Replay::Batch(batch) => {
                    let replayed = batch.iter().map(|(key, _, what)| apply(driver, key, what));
                    timeout(config.command_timeout, try_join_all(replayed))
                        .await
                        .unwrap_or(Err(Error::Timeout))?;
                    self.journal.lock().confirm(Instant::now(), &batch);
                }
                Replay::Purge => {
                    tracing::warn!("too many invalidations were missed: purging the keys of this endpoint");
                    self.journal.lock().begin_purge();
                    let purge = driver.purge(config.prefix.as_bytes());
                    if let Err(error) = timeout(PURGE_TIMEOUT, purge).await.unwrap_or(Err(Error::Timeout)) {
                        self.journal.lock().purge_failed();
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Executes an invalidation. Both forms can be repeated without harm.
pub(crate) async fn apply(driver: &dyn Driver, key: &Bytes, what: &Invalidation) -> Result<(), Error> {
    match what {
        Invalidation::Delete => driver.delete(std::slice::from_ref(key)).await.map(drop),
        Invalidation::Tombstone { value, ttl } => {
            driver.set(key, value, Some(*ttl), Condition::Always).await.map(drop)
        }
    }
}

fn known(cell: &AtomicU64) -> Option<u64> {
    Some(cell.load(Ordering::Relaxed)).filter(|value| *value != UNKNOWN)
}
