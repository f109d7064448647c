//! The handle that the request path holds.
//!
//! [`Recorder::record`] gives the event an id and the time, puts it into the bounded queue and
//! returns. It does not wait, does not fail, and does no input or output. One background task does
//! everything else.
//!
//! # Failure behavior
//!
//! A slow or unavailable store shows only in [`Recorder::counters`] and [`Recorder::spooling`]. A
//! full queue drops rows, least valuable first, and counts them by table and reason. Rows in memory
//! are lost if the process is killed; spooled and committed rows are not.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::config::Config;
use super::disk::Disk;
use super::ledger::Counters;
use super::shared::Shared;
use super::task;
use crate::record::new_id;
use crate::{Error, Event, SchemaState, Store};

/// The maximum time that [`Recorder::try_start`] waits for the database.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(2);

/// Records events. Clones share one queue and one background task. After the last clone is dropped,
/// the task drains the queue and ends, but only [`shutdown`](Self::shutdown) waits for it.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    _closer: Arc<Closer>,
}

/// Ends the background task when the last handle is gone.
#[derive(Debug)]
struct Closer(Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close(Instant::now() + self.0.config.write_timeout);
    }
}

impl Recorder {
    /// Starts recording into `store` on the current Tokio runtime.
    ///
    /// Never fails. Unusable settings are corrected to the nearest usable ones, and an unusable
    /// spool directory is not used; both are logged. A service that must not start in these cases
    /// calls [`try_start`](Self::try_start).
    ///
    /// # Panics
    ///
    /// Panics outside a Tokio runtime.
    pub fn start(store: Arc<dyn Store>, config: Config) -> Self {
        if let Err(error) = config.validate() {
            tracing::error!(%error, "analytics settings corrected");
        }
        let config = config.corrected();
        let disk = Disk::open(&config).unwrap_or_else(|error| {
            tracing::error!(%error, "analytics run without a spool");
            Disk::default()
        });
        Self::spawn(store, config, disk)
    }

    /// Starts recording like [`start`](Self::start), but returns an error for unusable settings, an
    /// unusable spool directory or an unusable database. After an error, nothing has been started.
    ///
    /// A database that does not answer within two seconds is no error: the rows wait until it
    /// answers. A schema that is newer than this build is logged and no error, because most rows
    /// still fit.
    ///
    /// # Errors
    ///
    /// Returns, in this order: [`Error::Config`]; [`Error::Directory`] or [`Error::SpoolLocked`];
    /// [`Error::Schema`], which names the missing migrations; any other error of the database that
    /// is not [transient](Error::is_transient).
    pub async fn try_start(store: Arc<dyn Store>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let disk = Disk::open(&config)?;
        match tokio::time::timeout(SCHEMA_TIMEOUT, store.schema()).await.unwrap_or(Err(Error::Timeout)) {
            Ok(state @ SchemaState::Behind { .. }) => return Err(Error::Schema(state)),
            Ok(state @ SchemaState::Ahead { .. }) => {
                tracing::warn!(%state, "the database schema is newer than this build");
            }
            Ok(SchemaState::Current { .. }) => {}
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, cause = %error.cause(), "the schema of the analytics database is not known yet");
            }
            Err(error) => return Err(error),
        }
        Ok(Self::spawn(store, config, disk))
    }

    fn spawn(store: Arc<dyn Store>, config: Config, disk: Disk) -> Self {
        let shared = Arc::new(Shared::new(config, disk.has_spool()));
        tokio::spawn(task::run(Arc::clone(&shared), store, disk));
        Self { _closer: Arc::new(Closer(Arc::clone(&shared))), shared }
    }

    /// Records an event by one non-blocking offer, which never fails the caller.
    pub fn record(&self, event: Event) {
        self.record_as(new_id(), event);
    }

    /// Records an event like [`record`](Self::record), under an id of the caller: a `UUIDv7` of the
    /// current time that no other event has. The classification of a generation has the id of the
    /// generation, so its row is found without an index of its own.
    pub fn record_as(&self, id: Uuid, mut event: Event) {
        self.shared.config.privacy.redact(&mut event);
        self.shared.offer(id, event);
    }

    /// Returns the places of all rows. [`Counters::is_balanced`] is always true.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Sets the series `picarcade_analytics_…` to the current counters. Call this before a scrape;
    /// the recorder also does it after each batch.
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        super::metrics::publish(&self.counters());
    }

    /// Returns whether the store does not accept rows. Rows then go to the spool, or wait in memory
    /// if there is none.
    pub fn spooling(&self) -> bool {
        self.shared.is_down()
    }

    /// Waits until every row accepted before the call is committed, spooled, dead-lettered or
    /// dropped.
    ///
    /// While the store accepts rows, this takes as long as writing them. If the store fails and no
    /// spool takes the rows, this returns an error after the next failed attempt: at once for a
    /// permanent failure, such as a missing migration, and after [`Config::write_timeout`] at the
    /// earliest for a transient one. The next attempt starts after [`Config::retry_max`] at the
    /// latest. The rows stay in memory and the recorder keeps trying. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Schema`] if the schema of the database is not the one of this build, and
    /// [`Error::NotWritten`] with the cause for every other failure.
    pub async fn flush(&self) -> Result<(), Error> {
        let (below, failures) = {
            let mut state = self.shared.lock();
            let below = state.queue.watermark();
            state.flush_below = state.flush_below.max(below);
            (below, state.ledger.counts.retries)
        };
        self.shared.wake_writer.notify_one();
        let timeout = tokio::time::sleep(self.shared.config.write_timeout);
        tokio::pin!(timeout);
        loop {
            let settled = self.shared.settled.notified();
            tokio::pin!(settled);
            // The listener is registered before the check, so that a row that settles in between is
            // not missed.
            settled.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.queue.is_settled_below(below) {
                    return Ok(());
                }
                // A failure from before the call may be over, so only the next attempt counts.
                let failure = state.failure.as_ref().filter(|_| state.ledger.counts.retries > failures);
                if let Some(failure) = failure {
                    let is_lasting = !failure.is_transient() && !self.shared.has_spool;
                    if is_lasting || timeout.is_elapsed() {
                        return Err(not_written(failure));
                    }
                }
            }
            tokio::select! {
                () = settled => {}
                // After the timeout without a failure, a slow store still makes progress: the next
                // event decides.
                () = &mut timeout, if !timeout.is_elapsed() => {}
            }
        }
    }

    /// Ends recording. Writes the queued rows for at most `deadline`, then spools the rest, or
    /// drops it if there is no spool. Events recorded from now on are counted as dropped.
    ///
    /// Cancel-safe: the work continues when the future is dropped.
    pub async fn shutdown(&self, deadline: Duration) -> Counters {
        self.shared.close(Instant::now() + deadline);
        self.shared.finished().await;
        self.counters()
    }
}

/// Returns the error of a flush. The state of the schema needs no wrapper, because it states what
/// to do.
fn not_written(failure: &Arc<Error>) -> Error {
    match &**failure {
        Error::Schema(state) => Error::Schema(*state),
        _ => Error::NotWritten { source: Arc::clone(failure) },
    }
}
