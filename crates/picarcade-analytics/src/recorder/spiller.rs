//! Moves rows from the queue to the spool while the store fails or is too slow.
//!
//! A full spool drops the least valuable rows first. Rows about money stay in memory until the disk
//! has room again or the queue is full.

use std::sync::Arc;

use super::disk::blocking;
use super::ledger::{DropReason, Place};
use super::shared::Shared;
use crate::Error;
use crate::spool::Spool;
use crate::worth::Worth;

pub(crate) struct Spiller {
    shared: Arc<Shared>,
    spool: Arc<Spool>,
}

impl Spiller {
    pub(crate) const fn new(shared: Arc<Shared>, spool: Arc<Spool>) -> Self {
        Self { shared, spool }
    }

    pub(crate) async fn run(&self) {
        while !self.shared.is_closing() {
            let tick = async {
                if self.shared.is_down() {
                    tokio::time::sleep(self.shared.config.flush_interval).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = self.shared.wake_spiller.notified() => {}
                () = tick => {}
                () = self.shared.closing() => return,
            }
            while !self.shared.is_closing() && self.is_needed() {
                if !self.spill().await {
                    break;
                }
            }
            if !self.shared.is_down() && self.is_needed() {
                // The spool refused the rows: wait for the writer to make room instead of spinning.
                tokio::select! {
                    () = tokio::time::sleep(self.shared.config.flush_interval) => {}
                    () = self.shared.closing() => return,
                }
                self.shared.wake_spiller.notify_one();
            }
        }
    }

    fn is_needed(&self) -> bool {
        let state = self.shared.lock();
        state.queue.len() > 0 && (self.shared.is_down() || state.queue.is_pressed())
    }

    /// At shutdown, moves all remaining rows and syncs the disk.
    pub(crate) async fn drain(&self) {
        while self.spill().await {}
        let spool = Arc::clone(&self.spool);
        if let Some(Err(error)) = blocking(move || spool.sync()).await {
            tracing::warn!(%error, "the spool could not be synchronized");
        }
    }

    /// Moves one batch. Returns whether all of it was spooled or dropped.
    async fn spill(&self) -> bool {
        let config = &self.shared.config;
        let Some(slots) = self.shared.lock().queue.take(config.batch_rows, config.batch_bytes) else {
            return false;
        };
        let spool = Arc::clone(&self.spool);
        let appended = blocking(move || {
            let batch = slots.open();
            let appended = spool.append(&batch.records);
            (batch, appended)
        })
        .await;
        // A runtime that ends meanwhile loses the rows, as it loses all memory.
        let Some((mut batch, appended)) = appended else { return false };
        if let Some(error) = &appended.error {
            tracing::warn!(%error, kind = error.kind(), "analytics cannot be spooled");
        }
        let is_full = appended.error.as_ref().is_none_or(|error| matches!(error, Error::SpoolFull));
        let stored = batch.records.len() - appended.refused.len();

        let mut state = self.shared.lock();
        state.spooled_bytes = appended.used;
        state.ledger.spool(stored as u64);
        if appended.refused.is_empty() {
            state.queue.settle(&batch);
        } else {
            let mut keep = vec![false; batch.records.len()];
            for at in appended.refused {
                let (Some(record), Some(keep)) = (batch.records.get(at), keep.get_mut(at)) else { continue };
                if is_full && Worth::of(&record.event) < Worth::Money {
                    let table = record.event.table();
                    state.ledger.drop_rows(Place::Queue, Some(table), DropReason::SpoolFull, 1);
                } else {
                    *keep = true;
                }
            }
            batch.retain(|at| keep.get(at).copied().unwrap_or(true));
            let left = !batch.records.is_empty();
            state.queue.put_back(batch);
            if left {
                drop(state);
                self.shared.settled.notify_waiters();
                return false;
            }
        }
        drop(state);
        self.shared.settled.notify_waiters();
        true
    }
}
