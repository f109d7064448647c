//! Leases: an instance debits a chunk of a limit in advance and admits from it without asking the store.
//!
//! A chunk is a reservation of requests. While it is out, the store counts all of it, so that
//! `admitted + leased <= limit` holds at every moment: no overshoot, from any number of instances. It may be spent only
//! within the sub-bucket in which it was debited (a minute's window: one second; a UTC day: until the hold ends), so
//! that what is admitted from it is counted in the very bucket in which it happens, and no true window sees more than
//! the limit. Then it is settled at what was used, and the rest goes back to where it came from.
//!
//! What is stranded, that is counted and not admitted: at most one chunk for each instance and subject while it is out
//! (its hold at most: it goes back though nobody asks again, and though the caller for whom it was debited has left), and of
//! an instance that was killed its last chunk until it leaves the window. A chunk is as large as twice the use of
//! the one before, at most [`Leases::largest`], and never more than its share of what remains: towards the end of a
//! limit chunks shrink to the single request, which is then decided exactly.
//!
//! While the store is away, what is leased can be spent to its end; new chunks are not to be had, and the fallback takes
//! over. Dollars are not leased: whoever reserved them may be settled from another instance.

use std::time::Duration;

use crate::{ConfigError, Plan, Unit, Window};

/// Which request limits are leased, and how.
///
/// ```
/// use picarcade_ratelimit::Leases;
/// let leases = Leases::of(["global-requests-3600s", "endpoint-requests-60s"]).largest(500);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Leases {
    pub(crate) names: Vec<String>,
    pub(crate) largest: u64,
    pub(crate) hold: Duration,
}

impl Leases {
    /// Leases the limits with these names. They count requests, over a sliding window or a UTC day.
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { names, largest: 1000, hold: Duration::from_secs(10) }
    }

    /// The largest chunk, 1 or more; default 1000.
    pub fn largest(mut self, requests: u64) -> Self {
        self.largest = requests;
        self
    }

    /// How long a chunk is held at most, 1 ms to 10 minutes; default 10 s. Not longer than the rest of its sub-bucket.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    pub(crate) fn validate(&self, plan: &Plan) -> Result<(), ConfigError> {
        if self.largest == 0 {
            return Err(ConfigError::Setting { field: "largest lease", reason: "is zero" });
        }
        if self.hold < Duration::from_millis(1) || self.hold > Duration::from_mins(10) {
            return Err(ConfigError::Setting {
                field: "hold of a lease",
                reason: "is not from 1 ms to 10 minutes",
            });
        }
        for name in &self.names {
            let wrong = |reason| ConfigError::Limit { limit: name.clone(), field: "lease", reason };
            let Some(limit) = plan.limits().iter().find(|limit| limit.name() == name) else {
                return Err(wrong("is of no limit"));
            };
            if limit.unit() == Unit::Cost {
                return Err(wrong("is of dollars"));
            }
            if matches!(limit.window(), Window::Smooth { .. }) {
                return Err(wrong("is of a smooth window"));
            }
        }
        Ok(())
    }
}
