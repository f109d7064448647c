//! Reads that are ready at the same time share a command.
//!
//! A read alone is sent at once. While others are under way, a read waits until everybody who is ready to run has had a
//! turn, and whoever came by meanwhile shares one `MGET`: the server and both sides' kernels do the work of one command for
//! twenty or thirty values. This is Nagle's idea (RFC 896) without its wait for the answer that is outstanding.
//!
//! A shared command is sent by a task of its own, so that nobody depends on another reader's being polled. When the server does
//! not take such commands (an ACL without `MGET`, a proxy in front of many shards), everybody reads alone from then on.

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

use crate::{Error, endpoint::Live};

/// Reads that share one command at most: so much of an answer must be there before the first of them has its own.
const MOST: usize = 32;

/// The reads of one connection.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    under_way: AtomicUsize,
    waiting: Mutex<Vec<Read>>,
    /// The server wants each read alone.
    apart: AtomicBool,
}

/// A read that waits to be sent.
#[derive(Debug)]
struct Read {
    key: Bytes,
    answer: oneshot::Sender<Result<Option<Bytes>, Error>>,
}

/// The value of a key. `patience` is the deadline of shared commands; the caller has its own.
pub(crate) async fn get(live: &Arc<Live>, key: Bytes, patience: Duration) -> Result<Option<Bytes>, Error> {
    let Gather { under_way, apart, .. } = &live.reads;
    let (_counted, alone) = Counted::begin(under_way);
    if !alone && !apart.load(Ordering::Relaxed) {
        let (sender, answer) = oneshot::channel();
        wait(live, Read { key: key.clone(), answer: sender }, patience);
        if let Ok(answer) = answer.await {
            return answer;
        }
    }
    live.driver.get(&key).await
}

/// Puts a read among those that wait, and sees to it that somebody sends them.
fn wait(live: &Arc<Live>, read: Read, patience: Duration) {
    let full = {
        let mut waiting = live.reads.waiting.lock();
        waiting.push(read);
        match waiting.len() {
            1 => None,
            // The task that is to send them finds those who come later, or nobody.
            MOST.. => Some(std::mem::take(&mut *waiting)),
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
        send(&turn.live, reads, patience).await;
    }));
}

/// The duty of sending those who wait. A runtime that ends drops its tasks: then they are let go, and read alone.
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

/// Reads for everybody. Those who get no answer from here read alone.
async fn send(live: &Live, reads: Vec<Read>, patience: Duration) {
    if reads.is_empty() {
        return;
    }
    let keys: Vec<Bytes> = reads.iter().map(|read| read.key.clone()).collect();
    // Its readers have deadlines of their own. This one ends the task when they have all left.
    match timeout(patience, live.driver.get_many(&keys)).await.unwrap_or(Err(Error::Timeout)) {
        Ok(values) => {
            for (read, value) in reads.into_iter().zip(values) {
                // An error says that this reader has left.
                let _ = read.answer.send(Ok(value));
            }
        }
        Err(error) if error.is_transient() => {
            for read in reads {
                let _ = read.answer.send(Err(error.clone()));
            }
        }
        Err(error) => {
            tracing::debug!(error = error.kind(), "redis does not take reads together");
            live.reads.apart.store(true, Ordering::Relaxed);
        }
    }
}

/// Counts a read for as long as it lasts.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// Also says whether it is the only one.
    fn begin(count: &'a AtomicUsize) -> (Self, bool) {
        let alone = count.fetch_add(1, Ordering::Relaxed) == 0;
        (Self(count), alone)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
