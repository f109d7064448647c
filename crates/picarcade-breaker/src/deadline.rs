//! One limit on everything that a call may wait for.
//!
//! Separate time-outs for the queue, each attempt and each pause add up to an unplanned total. A
//! deadline is a moment, set once where the request arrives and passed down: the queue, the pauses
//! between attempts and the attempts themselves all end at it.
//!
//! # Calls that a deadline ends
//!
//! A breaker must distinguish a call that took too long (a failure of the service) from a call
//! whose caller went away (neutral). Both look the same from inside: the future is dropped. A
//! deadline therefore marks the drop. While it drops the future that it ended, a flag of the thread
//! is set, and a permit that is dropped under the flag records a time-out. A drop is synchronous,
//! so the flag covers exactly the future that the deadline ended. The order in which deadline,
//! retry, bulkhead and breaker are nested does not matter.

use std::{cell::Cell, time::Duration};

use tokio::time::{Instant, timeout_at};

thread_local! {
    /// Whether this thread is dropping a future that a deadline ended.
    static ENDING: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether a deadline caused the current drop.
pub(crate) fn is_ending() -> bool {
    ENDING.try_with(Cell::get).unwrap_or(false)
}

/// Sets the flag of the thread from [`Ending::begin`] until it is dropped itself, also by a panic.
#[derive(Default)]
struct Ending {
    before: Option<bool>,
}

impl Ending {
    fn begin(&mut self) {
        self.before = ENDING.try_with(|ending| ending.replace(true)).ok();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // The flag is gone only while the thread ends, and then no drop reads it.
            let _ = ENDING.try_with(|ending| ending.set(before));
        }
    }
}

/// The moment by which a call must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The error of a call whose deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlineExceeded;

impl Deadline {
    /// The longest deadline, thirty years. Longer ones are shortened to it, so that no addition
    /// overflows.
    const MAX: Duration = Duration::from_secs(946_080_000);

    /// Creates a deadline after this duration.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(Self::MAX))
    }

    /// Returns the moment.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// Returns the earlier of this deadline and `time` from now, as the limit of one attempt.
    #[must_use]
    pub fn at_most(self, time: Duration) -> Self {
        self.min(Self::after(time))
    }

    /// Returns the remaining time, or zero.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns whether no time is left.
    #[must_use]
    pub fn expired(self) -> bool {
        self.remaining().is_zero()
    }

    /// Runs `future` until the deadline. If no time is left, `future` is not polled, because its
    /// result would come too late.
    ///
    /// A call under a [`CircuitBreaker`](crate::CircuitBreaker) that the deadline ends counts there
    /// as a failure ([`FailureKind::Timeout`](crate::FailureKind::Timeout)), whatever lies between
    /// the deadline and the breaker in the same task. If the caller drops this future first, the
    /// call counts as neutral.
    ///
    /// # Errors
    ///
    /// Returns [`DeadlineExceeded`] and drops `future`.
    pub async fn run<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        if self.expired() {
            return Err(DeadlineExceeded);
        }
        // Declared before the pinned future and so dropped after it: the future is dropped under
        // the flag.
        let mut ending = Ending::default();
        let mut future = std::pin::pin!(future);
        let Ok(output) = timeout_at(self.0, future.as_mut()).await else {
            ending.begin();
            return Err(DeadlineExceeded);
        };
        Ok(output)
    }
}
