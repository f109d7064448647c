//! How long the databases keep rows.

use std::time::Duration;

/// How long a database keeps rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The age at which event rows are deleted; `None` for never.
    pub events: Option<Duration>,
    /// The age at which roll-ups are deleted. They are small.
    pub rollups: Option<Duration>,
}

impl Default for Retention {
    /// Returns 90 days for events and two years for roll-ups.
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { events: Some(Duration::from_secs(90 * DAY)), rollups: Some(Duration::from_secs(730 * DAY)) }
    }
}

/// Returns the time before which rows are deleted, or `None` to keep everything.
pub(crate) fn start_of(kept: Option<Duration>, now: i64) -> Option<i64> {
    kept.map(|kept| now.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)).max(0))
}
