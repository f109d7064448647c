//! The state that the recorder's handles and its background task share.
//!
//! One short lock guards the queue and the ledger together, so an offer costs an uncontended lock
//! and a push. Code that holds the lock never awaits, writes or moves rows; it moves only pointers
//! to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::config::Config;
use super::ledger::{Counters, DropReason, Ledger};
use super::queue::Queue;
use crate::record::Record;
use crate::{Cause, Error, Event};

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) config: Config,
    /// Whether there is a spool for rows while the store fails.
    pub(crate) has_spool: bool,
    /// A batch is ready, or a caller waits for a flush.
    pub(crate) wake_writer: Notify,
    /// The queue is half full, or the store has failed.
    pub(crate) wake_spiller: Notify,
    /// Rows have left the queue, or a write has failed.
    pub(crate) settled: Notify,
    /// Whether the store does not accept rows.
    down: AtomicBool,
    /// The deadline of the background task, once the recorder is closing.
    closing: watch::Sender<Option<Instant>>,
    /// The background task has ended.
    finished: watch::Sender<bool>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) queue: Queue,
    pub(crate) ledger: Ledger,
    /// Rows below this sequence number are written without waiting for a full batch.
    pub(crate) flush_below: u64,
    pub(crate) spooled_bytes: u64,
    /// The error of the last write, until one succeeds.
    pub(crate) failure: Option<Arc<Error>>,
    /// The cause of `failure`.
    pub(crate) cause: Option<Cause>,
    closed: bool,
}

impl Shared {
    pub(crate) fn new(config: Config, has_spool: bool) -> Self {
        let state = State {
            queue: Queue::new(config.queue_rows, config.queue_bytes),
            ledger: Ledger::default(),
            flush_below: 0,
            spooled_bytes: 0,
            failure: None,
            cause: None,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            config,
            has_spool,
            wake_writer: Notify::new(),
            wake_spiller: Notify::new(),
            settled: Notify::new(),
            down: AtomicBool::new(false),
            closing: watch::Sender::new(None),
            finished: watch::Sender::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues the row or counts it as dropped, and wakes the loop that must act on it.
    pub(crate) fn offer(&self, id: Uuid, event: Event) {
        // The size is computed before the lock is taken.
        let bytes = size_of::<Record>() + event.heap_bytes();
        let refused;
        let (full_batch, pressed);
        {
            let mut state = self.state.lock();
            let before = (state.has_batch(&self.config), state.queue.is_pressed());
            refused = state.offer(id, event, bytes);
            let after = (state.has_batch(&self.config), state.queue.is_pressed());
            (full_batch, pressed) = (!before.0 && after.0, !before.1 && after.1);
        }
        // A refused row is freed after the lock is released, because that may take longer than an
        // offer.
        drop(refused);
        if full_batch {
            self.wake_writer.notify_one();
        }
        if pressed {
            self.wake_spiller.notify_one();
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let state = self.state.lock();
        Counters {
            queued_bytes: state.queue.held_bytes() as u64,
            spooled_bytes: state.spooled_bytes,
            last_error: state.failure.as_ref().map(|failure| failure.kind()),
            cause: state.cause,
            ..state.ledger.counters()
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Records that the store failed: rows go to the spool until a write succeeds.
    pub(crate) fn set_down(&self, failure: Arc<Error>) {
        {
            let mut state = self.state.lock();
            state.ledger.counts.retries += 1;
            // A cause that was searched for is more exact than that of a repetition.
            state.cause = state.cause.or(Some(failure.cause()));
            state.failure = Some(failure);
        }
        self.down.store(true, Ordering::Relaxed);
        self.wake_spiller.notify_one();
        self.settled.notify_waiters();
    }

    /// Records the cause of the failure that was searched for.
    pub(crate) fn set_cause(&self, cause: Cause) {
        self.state.lock().cause = Some(cause);
    }

    pub(crate) fn set_up(&self) {
        if self.down.swap(false, Ordering::Relaxed) {
            let mut state = self.state.lock();
            (state.failure, state.cause) = (None, None);
        }
    }

    /// Ends the background task by `deadline`. The earliest deadline of several calls counts.
    pub(crate) fn close(&self, deadline: Instant) {
        self.state.lock().closed = true;
        self.closing.send_modify(|closing| {
            *closing = Some(closing.map_or(deadline, |earlier| earlier.min(deadline)));
        });
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.borrow().is_some()
    }

    /// Waits until the recorder is closing.
    pub(crate) async fn closing(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.closing.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until the deadline of closing is over.
    pub(crate) async fn deadline(&self) {
        let mut closing = self.closing.subscribe();
        loop {
            let until = *closing.borrow_and_update();
            let changed = async {
                if closing.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            match until {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = changed => {}
                },
            }
        }
    }

    pub(crate) fn finish(&self) {
        self.finished.send_replace(true);
        self.settled.notify_waiters();
    }

    /// Waits until the background task has ended.
    pub(crate) async fn finished(&self) {
        let _ = self.finished.subscribe().wait_for(|finished| *finished).await;
    }
}

impl State {
    fn offer(&mut self, id: Uuid, event: Event, bytes: usize) -> Option<Event> {
        if self.closed {
            self.ledger.refuse(event.table(), DropReason::Closed);
            return Some(event);
        }
        match self.queue.offer(id, event, bytes) {
            Ok(()) => {
                self.ledger.accept();
                None
            }
            Err(event) => {
                self.ledger.refuse(event.table(), DropReason::QueueFull);
                Some(event)
            }
        }
    }

    /// Returns whether a batch is complete or a flush waits for it.
    pub(crate) fn has_batch(&self, config: &Config) -> bool {
        self.queue.len() >= config.batch_rows
            || self.queue.bytes() >= config.batch_bytes
            || !self.queue.is_empty_below(self.flush_below)
    }
}
