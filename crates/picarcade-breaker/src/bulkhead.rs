//! A bulkhead: a limit of concurrent calls with a bounded queue and a deadline for every waiting
//! call.
//!
//! A breaker sees a slow service only when calls end; until then they accumulate. The bulkhead
//! bounds their number. Its queue is first in, first out, and every place in it has a deadline: an
//! abandoned call is not started, because late work keeps an overloaded service overloaded.
//!
//! One semaphore counts the calls and one the places in the queue, without a separate counter. What
//! is in use and what waits therefore agree with what is admitted, and a dropped future returns
//! what it held.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    ConfigError,
    validate::{not_zero, within},
};

/// A limit of concurrency with a bounded queue. Clones are handles of the same bulkhead.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    max_concurrent: usize,
    max_queued: usize,
}

/// The right to make one call. A dropped permit passes to the first call in the queue.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct BulkheadPermit {
    _permit: OwnedSemaphorePermit,
}

/// A rejection, because there was no room in time. Nothing was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, with {in_use} calls running and {queued} waiting")]
#[non_exhaustive]
pub struct BulkheadFull {
    /// The reason.
    pub reason: FullReason,
    /// The number of running calls.
    pub in_use: usize,
    /// The number of waiting calls.
    pub queued: usize,
}

/// The reason of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullReason {
    /// Every place in the queue was taken.
    QueueFull,
    /// The deadline passed in the queue or before it.
    Deadline,
}

impl std::fmt::Display for FullReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "the queue is full",
            Self::Deadline => "the deadline passed",
        })
    }
}

impl Bulkhead {
    /// Creates a bulkhead for at most `max_concurrent` calls at once (at least 1) and `max_queued`
    /// waiting calls (0: no call waits).
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] with the argument that is out of range.
    pub fn new(max_concurrent: usize, max_queued: usize) -> Result<Self, ConfigError> {
        not_zero("max_concurrent", max_concurrent == 0)?;
        within("max_concurrent", max_concurrent <= 1_000_000, "at most 1000000")?;
        within("max_queued", max_queued <= 1_000_000, "at most 1000000")?;
        Ok(Self {
            running: Arc::new(Semaphore::new(max_concurrent)),
            places: Arc::new(Semaphore::new(max_queued)),
            max_concurrent,
            max_queued,
        })
    }

    /// Waits for room, at most until `deadline`, in order of arrival.
    ///
    /// Cancel safe: a dropped future has taken nothing.
    ///
    /// # Errors
    ///
    /// Returns [`BulkheadFull`] at once if the queue is full or the deadline has already passed,
    /// and otherwise at the deadline.
    pub async fn acquire(&self, deadline: Instant) -> Result<BulkheadPermit, BulkheadFull> {
        if deadline <= Instant::now() {
            return Err(self.full(FullReason::Deadline));
        }
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let Ok(_place) = self.places.try_acquire() else {
            return Err(self.full(FullReason::QueueFull));
        };
        match timeout_at(deadline, Arc::clone(&self.running).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(BulkheadPermit { _permit: permit }),
            // The semaphore is never closed; a closed one counts as full.
            Ok(Err(_)) | Err(_) => Err(self.full(FullReason::Deadline)),
        }
    }

    /// Takes room if there is some now, without overtaking waiting calls.
    #[must_use]
    pub fn try_acquire(&self) -> Option<BulkheadPermit> {
        Arc::clone(&self.running).try_acquire_owned().ok().map(|permit| BulkheadPermit { _permit: permit })
    }

    /// Returns the number of calls that hold a permit.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.max_concurrent - self.running.available_permits()
    }

    /// Returns the number of waiting calls.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.max_queued - self.places.available_permits()
    }

    fn full(&self, reason: FullReason) -> BulkheadFull {
        BulkheadFull { reason, in_use: self.in_use(), queued: self.queued() }
    }
}
