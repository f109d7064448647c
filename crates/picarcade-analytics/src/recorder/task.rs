//! The background task: three loops over the shared queue, and what happens at the end.
//!
//! - the **writer** (here) takes batches from the queue, or from the spool when the queue is calm, and writes them;
//! - the **spiller** moves rows from the queue to the spool while the store fails or falls behind;
//! - the **keeper** calls the store's housekeeping.
//!
//! A row leaves the queue only when the store or the spool has it. A batch that fails goes back to its place in the queue
//! and the store is left alone for a while; it is for the spiller to decide where the rows wait. A row that the store rejects
//! for what it contains is narrowed down by halving the batch, and put into the dead-letter file alone.

use std::sync::Arc;

use super::disk::Disk;
use super::ledger::{DropReason, Place};
use super::maintenance;
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
    tokio::join!(writer.run(), spilling, maintenance::run(&shared, store.as_ref()));
    writer.drain().await;
    if let Some(spiller) = &spiller {
        spiller.drain().await;
    }
    drop_remaining(&shared);
    shared.finish();
}

/// Nothing is left that could take the rows still in memory.
fn drop_remaining(shared: &Shared) {
    let mut state = shared.lock();
    while let Some(batch) = state.queue.take(usize::MAX, usize::MAX).map(Slots::open) {
        state.queue.settle(&batch);
        for record in &batch.records {
            state.ledger.drop_rows(Place::Queue, Some(record.event.table()), DropReason::Closed, 1);
        }
    }
}
