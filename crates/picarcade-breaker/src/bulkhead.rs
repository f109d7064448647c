//! A bulkhead: so many calls at once, so many waiting, and nobody waits beyond the deadline.
//!
//! A breaker sees a slow service only when calls end; until then they pile up. The bulkhead bounds the pile. Its queue is
//! first in, first out, has a length, and every place in it has a deadline: a call whose caller has gone is not started
//! (the late work is what keeps an overloaded service overloaded).
//!
//! Two semaphores, one for the calls and one for the places in the queue, and no counter beside them: what is in use and
//! what waits cannot disagree with what is admitted, and a future dropped anywhere gives back what it held.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::ConfigError;

/// A limit of concurrency with a bounded queue. Clones are handles of the same bulkhead.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use picarcade_breaker::{Bulkhead, Deadline};
///
/// let bulkhead = Bulkhead::new(20, 100)?;
/// let permit = bulkhead.acquire(Deadline::after(Duration::from_secs(5)).instant()).await?;
/// assert_eq!(bulkhead.in_use(), 1);
/// drop(permit);
/// assert_eq!(bulkhead.in_use(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Bulkhead {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    max_concurrent: usize,
    max_queued: usize,
}

/// The right to make one call. Dropped, it passes to the first in the queue.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct BulkheadPermit {
    _permit: OwnedSemaphorePermit,
}

/// No room in time. Nothing was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, with {in_use} calls running and {queued} waiting")]
#[non_exhaustive]
pub struct BulkheadFull {
    /// What was full.
    pub reason: FullReason,
    /// Calls that were running.
    pub in_use: usize,
    /// Calls that were waiting.
    pub queued: usize,
}

/// Why a bulkhead let a call not through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullReason {
    /// Every place in the queue was taken.
    QueueFull,
    /// The deadline passed in the queue, or before it.
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
    /// At most `max_concurrent` calls at once (at least 1), and `max_queued` waiting (0: nobody waits).
    ///
    /// # Errors
    /// [`ConfigError`], naming the argument, when it is out of range.
    pub fn new(max_concurrent: usize, max_queued: usize) -> Result<Self, ConfigError> {
        if max_concurrent == 0 {
            return Err(ConfigError::Zero { field: "max_concurrent" });
        }
        for (field, value) in [("max_concurrent", max_concurrent), ("max_queued", max_queued)] {
            if value > 1_000_000 {
                return Err(ConfigError::OutOfRange { field, expected: "at most 1000000" });
            }
        }
        Ok(Self {
            running: Arc::new(Semaphore::new(max_concurrent)),
            places: Arc::new(Semaphore::new(max_queued)),
            max_concurrent,
            max_queued,
        })
    }

    /// Waits for room, at most until `deadline`. First come, first served.
    ///
    /// Cancel safe: dropped, it has taken nothing.
    ///
    /// # Errors
    /// [`BulkheadFull`] at once when the queue has no place or the deadline has passed already, and at the deadline.
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
            // The semaphore is never closed; were it, there would be no room.
            Ok(Err(_)) | Err(_) => Err(self.full(FullReason::Deadline)),
        }
    }

    /// Takes room if there is some now, without overtaking anybody who waits.
    #[must_use]
    pub fn try_acquire(&self) -> Option<BulkheadPermit> {
        Arc::clone(&self.running).try_acquire_owned().ok().map(|permit| BulkheadPermit { _permit: permit })
    }

    /// Like [`acquire`](Self::acquire), with a time to wait instead of a moment.
    ///
    /// # Errors
    /// [`BulkheadFull`], as for [`acquire`](Self::acquire).
    pub async fn acquire_within(&self, time: Duration) -> Result<BulkheadPermit, BulkheadFull> {
        self.acquire(crate::Deadline::after(time).instant()).await
    }

    /// Calls that hold a permit.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.max_concurrent - self.running.available_permits()
    }

    /// Calls that wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.max_queued - self.places.available_permits()
    }

    /// The most calls at once.
    #[must_use]
    pub const fn max_concurrent(&self) -> usize {
        self.max_concurrent
    }

    /// The most calls that wait.
    #[must_use]
    pub const fn max_queued(&self) -> usize {
        self.max_queued
    }

    fn full(&self, reason: FullReason) -> BulkheadFull {
        BulkheadFull { reason, in_use: self.in_use(), queued: self.queued() }
    }
}
