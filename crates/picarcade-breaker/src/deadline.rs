//! One number over everything that a call may wait for.
//!
//! Separate time-outs for the queue, each attempt and each pause add up to an unplanned total. A
//! deadline is a moment, set once where the request arrives and passed down: the queue, the pauses
//! between attempts and the attempts themselves all end at it.
//!
//! # Calls that a deadline ends
//!
//! A breaker must tell a call that took too long (a failure of the service) from a call whose caller
//! went away (neutral). Both look the same from inside: the future is dropped. So a deadline marks
//! the drop: while it drops the future that it ended, a flag of the thread is set, and a permit that
//! is dropped under the flag records a time-out. A drop is synchronous, so the flag covers exactly
//! the future that the deadline ended, in whatever order deadline, retry, bulkhead and breaker are
//! nested.

use std::{cell::Cell, time::Duration};

use tokio::time::{Instant, timeout_at};

thread_local! {
    /// Whether this thread is dropping a future that a deadline ended.
    static ENDING: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the current drop is the work of a deadline.
pub(crate) fn is_ending() -> bool {
    ENDING.try_with(Cell::get).unwrap_or(false)
}

/// Sets the thread's flag from [`Ending::begin`] until it is dropped itself, also by a panic.
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
            // The flag is gone only while the thread is torn down, and then no drop reads it.
            let _ = ENDING.try_with(|ending| ending.set(before));
        }
    }
}

/// The moment by which everything must be done.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use picarcade_breaker::Deadline;
///
/// let deadline = Deadline::after(Duration::from_secs(5));
/// assert_eq!(deadline.run(async { 42 }).await, Ok(42));
/// assert!(deadline.remaining() <= Duration::from_secs(5));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlineExceeded;

impl Deadline {
    /// The longest deadline: a time beyond is shortened to it, so that no addition overflows. Thirty years.
    const MAX: Duration = Duration::from_hours(30 * 365 * 24);

    /// So much time from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(Self::MAX))
    }

    /// At this moment.
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The moment.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of this deadline and `time` from now: the share of one attempt.
    #[must_use]
    pub fn at_most(self, time: Duration) -> Self {
        self.min(Self::after(time))
    }

    /// The time left, zero when there is none.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    #[must_use]
    pub fn expired(self) -> bool {
        self.remaining().is_zero()
    }

    /// Runs `future` until the deadline. If no time is left, `future` is not polled: its result
    /// would come too late.
    ///
    /// A call under a [`CircuitBreaker`](crate::CircuitBreaker) that the deadline ends counts there
    /// as a failure ([`FailureKind::Timeout`](crate::FailureKind::Timeout)), whatever lies between
    /// the deadline and the breaker in the same task. If the caller drops this future first, the
    /// call counts as neutral.
    ///
    /// # Errors
    /// [`DeadlineExceeded`], and `future` is dropped.
    pub async fn run<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        if self.expired() {
            return Err(DeadlineExceeded);
        }
        // Declared before the pinned future, so dropped after it: the future is dropped under the flag.
        let mut ending = Ending::default();
        let mut future = std::pin::pin!(future);
        let Ok(output) = timeout_at(self.0, future.as_mut()).await else {
            ending.begin();
            return Err(DeadlineExceeded);
        };
        Ok(output)
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Self(instant)
    }
}
