//! An active connection, whose concurrent reads share commands.
//!
//! If no other read is in flight, a read is sent at once. Otherwise it waits until every ready task
//! has had a turn, and all reads that arrived meanwhile share one `MGET`. The server and the
//! kernels of both sides then do the work of one command for twenty or thirty values. This is
//! Nagle's idea (RFC 896) without waiting for the outstanding answer.
//!
//! A separate task sends a shared command, so no reader depends on another reader being polled. If
//! the server refuses such commands (an ACL without `MGET`, a proxy in front of many shards), all
//! later reads are sent singly.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::yield_now, time::timeout};

use crate::{Driver, Error};

/// The maximum number of reads per command, because the first read waits for the whole answer.
const MAX_READS: usize = 32;

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) reads: SharedReads,
    /// The number of the connection within this endpoint.
    pub(crate) epoch: u64,
}

/// The reads of one connection.
#[derive(Debug, Default)]
pub(crate) struct SharedReads {
    under_way: AtomicUsize,
    waiting: Mutex<Vec<Read>>,
    /// Whether the server requires single reads.
    singly: AtomicBool,
}

/// A read that waits to be sent.
#[derive(Debug)]
struct Read {
    key: Bytes,
    answer: oneshot::Sender<Result<Option<Bytes>, Error>>,
}

/// Returns the value of a key. `limit` is the timeout of shared commands; the caller has its own.
pub(crate) async fn get(live: &Arc<Live>, key: Bytes, limit: Duration) -> Result<Option<Bytes>, Error> {
    let SharedReads { under_way, singly, .. } = &live.reads;
    let (_counted, is_only) = Counted::begin(under_way);
    if !is_only && !singly.load(Ordering::Relaxed) {
        let (sender, answer) = oneshot::channel();
        wait(live, Read { key: key.clone(), answer: sender }, limit);
        if let Ok(answer) = answer.await {
            return answer;
        }
    }
    live.driver.get(&key).await
}

/// Queues a read and ensures that a task sends it.
fn wait(live: &Arc<Live>, read: Read, limit: Duration) {
    let full = {
        let mut waiting = live.reads.waiting.lock();
        waiting.push(read);
        match waiting.len() {
            1 => None,
            // The task that will send them also takes later reads.
            MAX_READS.. => Some(std::mem::take(&mut *waiting)),
            _ => return,
        }
    };
    let mut turn = Turn { live: Arc::clone(live), is_over: full.is_some() };
    drop(tokio::spawn(async move {
        let reads = if let Some(reads) = full {
            reads
        } else {
            yield_now().await;
            turn.take()
        };
        send(&turn.live, reads, limit).await;
    }));
}

/// The duty of sending the queued reads. When a runtime ends and drops its tasks, the queued reads
/// are released and sent alone.
struct Turn {
    live: Arc<Live>,
    is_over: bool,
}

impl Turn {
    fn take(&mut self) -> Vec<Read> {
        self.is_over = true;
        std::mem::take(&mut *self.live.reads.waiting.lock())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.take());
        }
    }
}

/// Reads for all queued readers. Readers without an answer read alone.
async fn send(live: &Live, reads: Vec<Read>, limit: Duration) {
    if reads.is_empty() {
        return;
    }
    let keys: Vec<Bytes> = reads.iter().map(|read| read.key.clone()).collect();
    // The readers have deadlines of their own. This one ends the task when all of them have left.
    match timeout(limit, live.driver.get_many(&keys)).await.unwrap_or(Err(Error::Timeout)) {
        Ok(values) => {
            for (read, value) in reads.into_iter().zip(values) {
                // An error means that this reader has left.
                let _ = read.answer.send(Ok(value));
            }
        }
        Err(error) if error.is_transient() => {
            for read in reads {
                let _ = read.answer.send(Err(error.clone()));
            }
        }
        Err(error) => {
            tracing::debug!(error = error.kind(), "redis refuses shared reads; reads are sent singly");
            live.reads.singly.store(true, Ordering::Relaxed);
        }
    }
}

/// Counts a read while it is in flight.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// Returns also whether it is the only one.
    fn begin(count: &'a AtomicUsize) -> (Self, bool) {
        let is_only = count.fetch_add(1, Ordering::Relaxed) == 0;
        (Self(count), is_only)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
