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

use crate::config::Config;
use crate::ledger::Counters;
use crate::record::new_id;
use crate::shared::Shared;
use crate::timestamp::micros;
use crate::{Error, Event, Store, writer};

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
        let disk = writer::Disk::open(&config).unwrap_or_else(|error| {
            tracing::error!(%error, "analytics run without a spool");
            writer::Disk::default()
        });
        Self::spawn(store, config, disk)
    }

    /// Like [`start`](Self::start), but settings or a spool directory that cannot work are an error.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Directory`] or [`Error::SpoolLocked`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn try_start(store: Arc<dyn Store>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let disk = writer::Disk::open(&config)?;
        Ok(Self::spawn(store, config, disk))
    }

    fn spawn(store: Arc<dyn Store>, config: Config, disk: writer::Disk) -> Self {
        let shared = Arc::new(Shared::new(config));
        tokio::spawn(writer::run(Arc::clone(&shared), store, disk));
        Self { _closer: Arc::new(Closer(Arc::clone(&shared))), shared }
    }

    /// Records an event: one non-blocking offer, which never fails the caller.
    pub fn record(&self, event: Event) {
        self.record_at(event, SystemTime::now());
    }

    /// Records an event that happened at `created_at`.
    pub fn record_at(&self, mut event: Event, created_at: SystemTime) {
        self.shared.config.privacy.redact(&mut event);
        self.shared.offer(new_id(micros(created_at)), event);
    }

    /// What became of the rows so far. [`Counters::is_balanced`] always.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Sets the series `picarcade_analytics_…` to the present counters. To be called before a scrape; now and then the
    /// recorder does it by itself.
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        crate::publish::publish(&self.counters());
    }

    /// Whether the store is not taking rows, so that they go to the spool (or wait in memory where there is none).
    pub fn spooling(&self) -> bool {
        self.shared.is_down()
    }

    /// Returns when every row accepted before the call has been committed, spooled, dead-lettered or dropped.
    ///
    /// Without a spool that takes as long as the store is away: put a timeout around it.
    pub async fn flush(&self) {
        let below = {
            let mut state = self.shared.lock();
            let below = state.queue.watermark();
            state.flush_below = state.flush_below.max(below);
            below
        };
        self.shared.wake_writer.notify_one();
        loop {
            let settled = self.shared.settled.notified();
            tokio::pin!(settled);
            // Registered before looking, so that a row that settles in between is not missed.
            settled.as_mut().enable();
            if self.shared.lock().queue.is_settled_below(below) {
                return;
            }
            settled.await;
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
