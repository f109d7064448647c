//! The background task: three loops over the shared queue, and the end of the recorder.
//!
//! - The **writer** takes batches from the queue, or from the spool when the queue is calm, and
//!   writes them.
//! - The **spiller** moves rows from the queue to the spool while the store fails or is too slow.
//! - The **maintenance** loop calls [`Store::maintain`].
//!
//! A row leaves the queue only after the store or the spool has it. A failed batch returns to its
//! place in the queue, and the writer pauses; the spiller decides where the rows wait. If the store
//! rejects a row because of its content, the writer finds the row by halving the batch and writes
//! it to the dead-letter file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::disk::Disk;
use super::ledger::{DropReason, Place};
use super::queue::Slots;
use super::shared::Shared;
use super::spiller::Spiller;
use super::writer::Writer;
use crate::Store;

pub(crate) async fn run(shared: Arc<Shared>, store: Arc<dyn Store>, disk: Disk) {
    let spiller = disk.spool.as_ref().map(|spool| Spiller::new(Arc::clone(&shared), Arc::clone(spool)));
    let mut writer = Writer::new(Arc::clone(&shared), Arc::clone(&store), disk);
    let spilling = async {
        if let Some(spiller) = &spiller {
            spiller.run().await;
        }
    };
    tokio::join!(writer.run(), spilling, maintain(&shared, store.as_ref()));
    writer.drain().await;
    if let Some(spiller) = &spiller {
        spiller.drain().await;
    }
    drop_remaining(&shared);
    shared.finish();
}

/// Calls the maintenance of the store at its interval until the recorder is closing. A failure is
/// logged, and the next interval tries again.
async fn maintain(shared: &Shared, store: &dyn Store) {
    let Some(interval) = shared.config.maintain_interval else { return };
    let mut pause = interval.min(Duration::from_secs(1));
    let mut is_lagging = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.closing() => return,
        }
        pause = interval;
        if shared.is_down() {
            continue;
        }
        tokio::select! {
            done = store.maintain(SystemTime::now()) => match done {
                Ok(done) => {
                    let was_lagging = std::mem::replace(&mut is_lagging, !done.retention_lag.is_zero());
                    if is_lagging && !was_lagging {
                        let ahead = done.retention_lag;
                        tracing::warn!(?ahead, "the clock jumped ahead: retention follows slowly, correct the clock if it is wrong");
                    }
                    tracing::debug!(?done, "analytics maintenance");
                }
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(%error, %cause, kind = error.kind(), "analytics maintenance failed");
                },
            },
            () = shared.closing() => return,
        }
    }
}

/// Drops the rows that are still in memory at the end.
fn drop_remaining(shared: &Shared) {
    let mut state = shared.lock();
    while let Some(batch) = state.queue.take(usize::MAX, usize::MAX).map(Slots::open) {
        state.queue.settle(&batch);
        for record in &batch.records {
            state.ledger.drop_rows(Place::Queue, Some(record.event.table()), DropReason::Closed, 1);
        }
    }
}
