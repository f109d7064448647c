//! What one instance holds of one limit for one subject, and who may ask the store for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::chunk::Chunk;
use crate::{Denial, Error, ReservationId, Status};

/// The chunk of one subject, and the turn to debit another.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) held: Mutex<Held>,
    /// One question to the store at a time. Whoever has the turn may be a task that outlives its caller, so that a chunk
    /// that was debited is never lost with a caller that left.
    turn: Arc<tokio::sync::Mutex<Option<Refused>>>,
    questions: AtomicU64,
}

/// The chunk, and what the next one's size depends on.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) chunk: Option<Chunk>,
    pub(super) last_used: u64,
    pub(super) remaining: Option<u64>,
}

/// The last answer to a question, if it was no.
#[derive(Debug)]
pub(super) struct Refused {
    question: u64,
    asked: u64,
    answer: Result<Denial, Error>,
}

/// The right to ask the store.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<Option<Refused>>;

/// What waiting for the turn came to.
pub(super) enum Waited {
    Ours(Turn),
    /// While we waited, the store was asked for no more than we want, and did not grant it.
    Answered(Result<Denial, Error>),
}

impl Place {
    /// Takes `amount` out of the chunk, if it is there; answers which chunk that was.
    pub(super) fn take(&self, amount: u64, now: Instant, status: &mut Vec<Status>) -> Option<ReservationId> {
        let mut held = self.held.lock();
        let chunk = held.chunk.as_mut()?;
        if !chunk.take(amount, now) {
            return None;
        }
        status.push(chunk.status(now));
        Some(chunk.id)
    }

    /// Gives `amount` back to the chunk it came from. A chunk that is gone was settled with it, and a newer one must not
    /// admit what was debited in an older bucket.
    pub(super) fn put_back(&self, id: ReservationId, amount: u64) {
        if let Some(chunk) = self.held.lock().chunk.as_mut().filter(|chunk| chunk.id == id) {
            chunk.put_back(amount);
        }
    }

    /// Waits for the turn to ask for `amount`. Of those who wait together, the first to be refused is refused for all who want
    /// as much: a store that is away, or a limit that is reached, is not asked once for each of them, one after the other.
    pub(super) async fn wait(&self, amount: u64) -> Waited {
        let before = self.questions.load(Ordering::SeqCst);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        match &*turn {
            Some(refused)
                if refused.question > before && (refused.answer.is_err() || amount >= refused.asked) =>
            {
                Waited::Answered(refused.answer.clone())
            }
            _ => Waited::Ours(turn),
        }
    }

    /// Notes that a question is about to be asked; answers its number.
    pub(super) fn ask(&self) -> u64 {
        self.questions.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Refused {
    pub(super) fn new(question: u64, asked: u64, answer: Result<Denial, Error>) -> Self {
        Self { question, asked, answer }
    }
}
