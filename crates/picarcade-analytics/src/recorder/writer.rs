//! Takes batches from the queue or the spool and writes them to the store.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::dead_letter::DeadLetters;
use super::disk::{Disk, blocking};
use super::ledger::{DropReason, Place};
use super::queue::{Batch, Slots};
use super::shared::Shared;
use crate::record::Record;
use crate::{Error, Store};

pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    disk: Disk,
    backoff: Backoff,
    /// The earliest time of the next attempt.
    retry_at: Option<Instant>,
    /// When the store began to fail.
    down_since: Option<Instant>,
    /// When a batch is written that is not full.
    due: Instant,
    /// The number of batches so far. Every eighth comes from the spool, so that a busy service also
    /// empties it.
    turns: u64,
}

enum Work {
    Live(Batch),
    Replay,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, store: Arc<dyn Store>, disk: Disk) -> Self {
        let config = &shared.config;
        Self {
            backoff: Backoff::new(config.retry_min, config.retry_max),
            retry_at: None,
            down_since: None,
            due: Instant::now() + config.flush_interval,
            turns: 0,
            shared,
            store,
            disk,
        }
    }

    pub(super) async fn run(&mut self) {
        self.recover().await;
        while let Some(work) = self.next().await {
            self.turns += 1;
            match work {
                Work::Live(batch) => self.write_live(batch).await,
                Work::Replay => self.replay().await,
            }
            self.publish();
        }
    }

    /// Waits for rows to write; returns `None` when the recorder is closing.
    async fn next(&mut self) -> Option<Work> {
        loop {
            if self.shared.is_closing() {
                return None;
            }
            let now = Instant::now();
            if let Some(at) = self.retry_at.filter(|at| now < *at) {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.shared.closing() => {}
                }
                continue;
            }
            let spooled = self.shared.lock().ledger.counts.spooled > 0;
            if spooled && self.turns % 8 == 7 {
                return Some(Work::Replay);
            }
            if let Some(batch) = self.live(now) {
                return Some(Work::Live(batch));
            }
            if spooled {
                return Some(Work::Replay);
            }
            tokio::select! {
                () = self.shared.wake_writer.notified() => {}
                () = tokio::time::sleep_until(self.due) => {}
                () = self.shared.closing() => {}
            }
        }
    }

    fn live(&mut self, now: Instant) -> Option<Batch> {
        let config = &self.shared.config;
        let due = now >= self.due;
        if due {
            self.due = now + config.flush_interval;
        }
        let slots = {
            let mut state = self.shared.lock();
            if !(due || state.has_batch(config)) {
                return None;
            }
            state.queue.take(config.batch_rows, config.batch_bytes)
        };
        slots.map(Slots::open)
    }

    async fn write_live(&mut self, mut batch: Batch) {
        let (delivered, error) = self.deliver(&batch.records, Place::Queue).await;
        {
            let mut state = self.shared.lock();
            if delivered == batch.records.len() {
                state.queue.settle(&batch);
            } else {
                batch.forget_before(delivered);
                state.queue.put_back(batch);
            }
        }
        self.shared.settled.notify_waiters();
        self.record_outcome(error).await;
    }

    async fn replay(&mut self) {
        let Some(spool) = self.disk.spool.clone() else { return };
        let config = &self.shared.config;
        // Only rows that the ledger counts as spooled are read. Others would be committed before
        // they are counted.
        let rows = config.batch_rows.min(self.shared.lock().ledger.counts.spooled as usize);
        let bytes = config.batch_bytes;
        let reader = Arc::clone(&spool);
        let Some(read) = blocking(move || reader.read(rows, bytes)).await else { return };
        // Rows that the ledger counts as spooled and that the spool does not find are lost like
        // damaged ones.
        let lost = if read.records.is_empty() && read.lost == 0 { rows as u64 } else { read.lost };
        if lost > 0 {
            tracing::error!(rows = lost, "spooled analytics rows are unreadable");
            self.shared.lock().ledger.drop_rows(Place::Spool, None, DropReason::Corrupt, lost);
        }
        let (delivered, error) = self.deliver(&read.records, Place::Spool).await;
        match blocking(move || spool.advance(&read, delivered)).await {
            Some(Ok(bytes)) => self.shared.lock().spooled_bytes = bytes,
            // After a restart the rows are written again and recognized by their ids.
            Some(Err(error)) => tracing::warn!(%error, "the spool's position could not be saved"),
            None => {}
        }
        self.record_outcome(error).await;
    }

    /// Writes the records in order. Returns how many left the recorder, and the error that stopped
    /// the rest.
    async fn deliver(&self, records: &[Record], from: Place) -> (usize, Option<Error>) {
        let mut start = 0;
        let mut size = records.len();
        while start < records.len() {
            let end = records.len().min(start + size);
            let Some(part) = records.get(start..end) else { break };
            match self.write(part).await {
                Ok(()) => {
                    self.shared.lock().ledger.commit(from, part.len() as u64);
                    start = end;
                    size = size.saturating_mul(2);
                }
                Err(error) if error.is_rejection() && part.len() > 1 => size = part.len() / 2,
                Err(error) if error.is_rejection() => {
                    for record in part {
                        self.dead_letter(record, &error, from).await;
                    }
                    start = end;
                }
                Err(error) => return (start, Some(error)),
            }
        }
        (start, None)
    }

    async fn write(&self, records: &[Record]) -> Result<(), Error> {
        tokio::select! {
            written = tokio::time::timeout(self.shared.config.write_timeout, self.store.write(records)) =>
                written.unwrap_or(Err(Error::Timeout)),
            () = self.shared.deadline() => Err(Error::Timeout),
        }
    }

    /// Writes a rejected row to the dead-letter file.
    async fn dead_letter(&self, record: &Record, error: &Error, from: Place) {
        let table = record.event.table();
        let written = match &self.disk.dead_letters {
            Some(dead_letters) => {
                let (dead_letters, line) =
                    (Arc::clone(dead_letters), DeadLetters::line(record, error, SystemTime::now()));
                blocking(move || dead_letters.append(&line)).await.unwrap_or(Ok(false))
            }
            None => Ok(false),
        };
        let mut state = self.shared.lock();
        match written {
            Ok(true) => {
                state.ledger.dead_letter(from, 1);
                tracing::warn!(table = table.as_str(), %error, "the database rejected a row: dead-lettered");
            }
            Ok(false) => {
                state.ledger.drop_rows(from, Some(table), DropReason::Rejected, 1);
                tracing::warn!(table = table.as_str(), %error, "the database rejected a row: dropped");
            }
            Err(failed) => {
                state.ledger.drop_rows(from, Some(table), DropReason::Rejected, 1);
                tracing::error!(table = table.as_str(), %error, %failed, "a rejected row could not be dead-lettered");
            }
        }
    }

    /// Records the outcome of the last write.
    async fn record_outcome(&mut self, error: Option<Error>) {
        match error {
            None => {
                self.retry_at = None;
                self.backoff.reset();
                self.shared.set_up();
                if let Some(since) = self.down_since.take() {
                    let seconds = since.elapsed().as_secs_f64();
                    tracing::info!(outage_seconds = seconds, "analytics can be written again");
                }
            }
            Some(error) => {
                let pause = self.backoff.next(fastrand::f64());
                let is_new = !self.shared.is_down();
                self.retry_at = Some(Instant::now() + pause);
                let error = Arc::new(error);
                // Rows go to the spool from now on, also while the cause is searched for.
                self.shared.set_down(Arc::clone(&error));
                if is_new {
                    self.down_since = Some(Instant::now());
                    let cause = tokio::select! {
                        cause = self.store.explain(&error) => cause,
                        () = self.shared.deadline() => error.cause(),
                    };
                    self.shared.set_cause(cause);
                    let kind = cause.as_str();
                    tracing::warn!(%error, %cause, kind, retry_in = ?pause, "analytics cannot be written");
                }
            }
        }
    }

    /// Counts the rows that an earlier process left in the spool.
    async fn recover(&self) {
        let Some(spool) = self.disk.spool.clone() else { return };
        let Some((rows, bytes)) = blocking(move || spool.recover()).await else { return };
        let mut state = self.shared.lock();
        state.ledger.recover(rows);
        state.spooled_bytes = bytes;
        if rows > 0 {
            tracing::info!(rows, "analytics rows found in the spool");
        }
    }

    /// Writes the queued rows until all are written, the store fails or the deadline is over.
    pub(super) async fn drain(&mut self) {
        let has_spool = self.disk.spool.is_some();
        while !(has_spool && self.shared.is_down()) {
            let batch = {
                let config = &self.shared.config;
                self.shared.lock().queue.take(config.batch_rows, config.batch_bytes)
            };
            let Some(batch) = batch else { break };
            self.write_live(batch.open()).await;
            if let Some(at) = self.retry_at {
                // Without a spool the rows have no other place: try again until the deadline.
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.shared.deadline() => break,
                }
            }
        }
        self.publish();
    }

    #[cfg(feature = "metrics")]
    fn publish(&self) {
        super::metrics::publish(&self.shared.counters());
    }

    #[cfg(not(feature = "metrics"))]
    #[allow(clippy::unused_self, reason = "the same call with and without the feature")]
    const fn publish(&self) {}
}
