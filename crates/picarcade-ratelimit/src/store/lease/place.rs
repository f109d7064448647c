//! The chunk of one limit that an instance holds for one subject, and the right to debit another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::chunk::Chunk;
use crate::{Denial, Error, LimitStatus, ReservationId};

/// The chunk of one subject.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) held: Mutex<Held>,
    /// Permits one debit at a time. A task that outlives its caller may own the permit, so a
    /// debited chunk is recorded even if the caller has left.
    turn: Arc<tokio::sync::Mutex<Option<Refused>>>,
    debits: AtomicU64,
}

/// The chunk, and what the size of the next one depends on.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) chunk: Option<Chunk>,
    pub(super) last_used: u64,
    pub(super) remaining: Option<u64>,
}

/// The result of a request to a leased limit.
#[derive(Debug, Clone)]
pub(super) enum Loan {
    /// The requests were taken from a chunk.
    Granted { chunk: ReservationId, status: LimitStatus },
    /// The limit has no room.
    Denied(Denial),
    /// The store made no decision.
    Failed(Error),
}

/// The last debit, if it was not granted.
#[derive(Debug)]
pub(super) struct Refused {
    debit: u64,
    asked: u64,
    result: Loan,
}

/// The right to debit a chunk.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<Option<Refused>>;

impl Place {
    /// Takes `amount` out of the chunk, if it has as much.
    pub(super) fn take(&self, amount: u64, now: Instant) -> Option<Loan> {
        let mut held = self.held.lock();
        let chunk = held.chunk.as_mut()?;
        chunk.take(amount, now).then(|| Loan::Granted { chunk: chunk.id, status: chunk.status(now) })
    }

    /// Gives `amount` back to the chunk that it came from. An ended chunk was settled with it, and
    /// a newer chunk must not admit what was debited in an older bucket.
    pub(super) fn put_back(&self, id: ReservationId, amount: u64) {
        if let Some(chunk) = self.held.lock().chunk.as_mut().filter(|chunk| chunk.id == id) {
            chunk.put_back(amount);
        }
    }

    /// Waits for the right to debit `amount`. Returns a refusal if meanwhile a debit of no more
    /// than that was not granted.
    ///
    /// So the first refusal answers all requests that wait and want at least as much, and the store
    /// is not asked once for each of them while it is unavailable or the limit is reached.
    pub(super) async fn wait(&self, amount: u64) -> Result<Turn, Loan> {
        let before = self.debits.load(Ordering::SeqCst);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        match &*turn {
            Some(refused)
                if refused.debit > before
                    && (matches!(refused.result, Loan::Failed(_)) || amount >= refused.asked) =>
            {
                Err(refused.result.clone())
            }
            _ => Ok(turn),
        }
    }

    /// Records that a debit starts, and returns its number.
    pub(super) fn start_debit(&self) -> u64 {
        self.debits.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Refused {
    /// Returns what later requests need to know about a debit: nothing if it was granted.
    pub(super) fn new(debit: u64, asked: u64, result: &Loan) -> Option<Self> {
        match result {
            Loan::Granted { .. } => None,
            Loan::Denied(_) | Loan::Failed(_) => Some(Self { debit, asked, result: result.clone() }),
        }
    }
}
