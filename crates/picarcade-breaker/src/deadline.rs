//! One number over everything that a call may wait for.
//!
//! Separate time-outs for the queue, each attempt and each pause add up to a time nobody chose. A deadline is a moment,
//! made once where the request comes in and handed down: the queue, the pauses between attempts and the attempts themselves
//! all end at it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

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

    /// Runs `future` until the deadline. When none is left it is not even polled: work that begins too late is work that
    /// nobody waits for.
    ///
    /// # Errors
    /// [`DeadlineExceeded`], and `future` is dropped.
    pub async fn run<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        if self.expired() {
            return Err(DeadlineExceeded);
        }
        timeout_at(self.0, future).await.map_err(|_| DeadlineExceeded)
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Self(instant)
    }
}
