//! How long the databases keep rows.

use std::time::Duration;

/// The retention of a store in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long event rows are kept; `None` for ever.
    pub events: Option<Duration>,
    /// How long roll-ups are kept; they are small.
    pub rollups: Option<Duration>,
}

impl Default for Retention {
    /// 90 days for events, two years for roll-ups.
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { events: Some(Duration::from_secs(90 * DAY)), rollups: Some(Duration::from_secs(730 * DAY)) }
    }
}

/// Returns the time before which rows are deleted, or `None` to keep everything.
pub(crate) fn start_of(kept: Option<Duration>, now: i64) -> Option<i64> {
    kept.map(|kept| now.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)).max(0))
}
