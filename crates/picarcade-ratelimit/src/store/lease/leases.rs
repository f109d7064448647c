//! Which limits are leased, and how.
//!
//! A chunk is a reservation of requests. While it is held, the store counts all of it. So at every
//! moment, and for any number of instances, the sum of admitted and leased requests is at most the
//! limit. A chunk may be spent only within the sub-bucket in which it was debited (one second of a
//! minute's window; for a UTC day, until the hold ends). So a request that is admitted from it is
//! counted in the bucket in which it happens, and no true window admits more than the limit. Then
//! the chunk is settled at what was used, and the rest goes back to the bucket that it came from.
//!
//! A leased request that is not used is counted and not admitted meanwhile. This is at most one
//! chunk for each instance and subject, for at most the hold. The rest of a chunk goes back even if
//! no request follows and if the caller for which it was debited has left. The last chunk of an
//! instance that was killed counts until it leaves the window.
//!
//! A chunk is twice as large as the use of the one before, at most [`Leases::largest`], and never
//! more than its share of what remains. Near the end of a limit, chunks shrink to single requests,
//! which are then decided exactly.
//!
//! While the store is unavailable, held chunks can be spent; then the fallback decides. Dollars are
//! not leased, because a reservation of dollars may be settled by another instance.

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
    pub(super) largest: u64,
    pub(super) hold: Duration,
}

impl Leases {
    /// Leases the limits with these names. They must count requests, over a sliding window or a UTC
    /// day.
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { names, largest: 1000, hold: Duration::from_secs(10) }
    }

    /// Sets the largest chunk, 1 or more; default 1000.
    pub fn largest(mut self, requests: u64) -> Self {
        self.largest = requests;
        self
    }

    /// Sets how long a chunk is held at most, 1 ms to 10 minutes; default 10 s. A chunk never
    /// outlives its sub-bucket.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    pub(crate) fn validate(&self, plan: &Plan) -> Result<(), ConfigError> {
        if self.largest == 0 {
            return Err(ConfigError::Setting { field: "largest lease", reason: "is zero" });
        }
        if self.hold < Duration::from_millis(1) || self.hold > Duration::from_secs(600) {
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
            match limit.window() {
                Window::Sliding(_) | Window::UtcDay => {}
                Window::Smooth { .. } => return Err(wrong("is of a smooth window")),
            }
        }
        Ok(())
    }
}
