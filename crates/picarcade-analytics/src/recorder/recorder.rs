//! The handle that the request path holds.
//!
//! [`Recorder::record`] gives the event an id and the time, puts it into the bounded queue and returns: it does not wait, does
//! not fail, and does no input or output. One background task owns everything else.
//!
//! Failure behaviour: a store that is slow or gone shows only in [`Recorder::counters`] and [`Recorder::spooling`]. A full
//! queue costs rows, least valuable first, and counts them by table and reason. Rows in memory are lost if the process
//! is killed; what is spooled or committed is not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::config::Config;
use super::disk::Disk;
use super::ledger::Counters;
use super::shared::Shared;
use super::task;
use crate::record::new_id;
use crate::timestamp::micros;
use crate::{Error, Event, SchemaState, Store};

/// The longest that [`Recorder::try_start`] waits for the database.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(2);

/// Records events. Clones share one queue and one background task; when the last one is dropped the task drains and
/// ends by itself, but only [`shutdown`](Self::shutdown) waits for it.
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
    /// Starts recording into `store`, on the current Tokio runtime.
    ///
    /// Never fails: settings that cannot work are corrected to the nearest that can, and a spool directory that cannot be
    /// used is gone without; both are logged. A service that would rather not start calls
    /// [`try_start`](Self::try_start).
    ///
    /// # Panics
    /// Outside a Tokio runtime.
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

    /// Like [`start`](Self::start), but settings, a spool directory or a database that cannot work
    /// are an error. If it returns an error, nothing has been started.
    ///
    /// A database that does not answer within two seconds is no error: the rows wait until it does.
    /// Neither is a schema that is newer than this build, because most rows still fit; it is logged.
    ///
    /// # Errors
    /// In this order: [`Error::Config`], [`Error::Directory`] or [`Error::SpoolLocked`],
    /// [`Error::Schema`] if migrations are missing (it names them), and what else the database
    /// says that is not [transient](Error::is_transient).
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
                tracing::warn!(%error, "the schema of the analytics database is not known yet");
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

    /// Records an event: one non-blocking offer, which never fails the caller.
    pub fn record(&self, mut event: Event) {
        self.shared.config.privacy.redact(&mut event);
        self.shared.offer(new_id(micros(SystemTime::now())), event);
    }

    /// What became of the rows so far. [`Counters::is_balanced`] always.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Sets the series `picarcade_analytics_…` to the present counters. To be called before a scrape; now and then the
    /// recorder does it by itself.
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        super::metrics::publish(&self.counters());
    }

    /// Whether the store is not taking rows, so that they go to the spool (or wait in memory where there is none).
    pub fn spooling(&self) -> bool {
        self.shared.is_down()
    }

    /// Returns when every row accepted before the call has been committed, spooled, dead-lettered or dropped.
    ///
    /// While the store takes rows, this lasts as long as writing them does. If it fails and no spool
    /// takes the rows, this returns an error when the next attempt has failed: at once for a failure
    /// that does not pass by itself, such as a missing migration, and not before
    /// [`Config::write_timeout`] for one that may. The next attempt comes after at most
    /// [`Config::retry_max`]. The rows stay in memory and the recorder goes on trying. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Schema`] if the database's schema is not the one of this build,
    /// [`Error::NotWritten`] with the cause for every other failure.
    pub async fn flush(&self) -> Result<(), Error> {
        let (below, failures) = {
            let mut state = self.shared.lock();
            let below = state.queue.watermark();
            state.flush_below = state.flush_below.max(below);
            (below, state.ledger.retries)
        };
        self.shared.wake_writer.notify_one();
        let timeout = tokio::time::sleep(self.shared.config.write_timeout);
        tokio::pin!(timeout);
        loop {
            let settled = self.shared.settled.notified();
            tokio::pin!(settled);
            // Registered before looking, so that a row that settles in between is not missed.
            settled.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.queue.is_settled_below(below) {
                    return Ok(());
                }
                // A failure from before the call may be over: the next attempt decides.
                let failure = state.failure.as_ref().filter(|_| state.ledger.retries > failures);
                if let Some(failure) = failure {
                    let is_lasting = !failure.is_transient() && !self.shared.has_spool;
                    if is_lasting || timeout.is_elapsed() {
                        return Err(not_written(failure));
                    }
                }
            }
            tokio::select! {
                () = settled => {}
                // Elapsed without a failure, a slow store still makes progress: look again at the next event.
                () = &mut timeout, if !timeout.is_elapsed() => {}
            }
        }
    }

    /// Ends recording: writes what is queued for at most `deadline`, then spools what is left (or drops it where there is no
    /// spool). Events recorded from now on are counted as dropped.
    ///
    /// Cancel-safe: the work goes on when the future is dropped.
    pub async fn shutdown(&self, deadline: Duration) -> Counters {
        self.shared.close(Instant::now() + deadline);
        self.shared.finished().await;
        self.counters()
    }
}

/// The error of a flush. The state of the schema says by itself what to do.
fn not_written(failure: &Arc<Error>) -> Error {
    match &**failure {
        Error::Schema(state) => Error::Schema(*state),
        _ => Error::NotWritten { source: Arc::clone(failure) },
    }
}
