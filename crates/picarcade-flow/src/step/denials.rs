//! The rate at which denied requests are recorded.
//!
//! A caller over its limit can send requests as fast as the network allows, and each of them would
//! be a row in the database. So a process records at most [`ROWS_PER_MINUTE`] of them. The
//! limiter's own counters count all.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The most rows of denied requests that one process records in a minute.
const ROWS_PER_MINUTE: u32 = 600;

const MINUTE: Duration = Duration::from_secs(60);

/// A counter of the rows of denied requests.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    /// The beginning of the current minute and the number of its rows.
    minute: Mutex<Option<(Instant, u32)>>,
}

impl Denials {
    /// Returns whether a request that is denied at `now` gets a row.
    pub(crate) fn record(&self, now: Instant) -> bool {
        let mut minute = self.minute.lock();
        match &mut *minute {
            Some((begun, rows)) if now.saturating_duration_since(*begun) < MINUTE => {
                *rows = rows.saturating_add(1);
                *rows <= ROWS_PER_MINUTE
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_denials_is_recorded_at_a_bounded_rate() {
        let (denials, begun) = (Denials::default(), Instant::now());
        // A thousand denials a second, for two minutes.
        let recorded = |from: u64| {
            let times = (from * 1000..(from + 60) * 1000).map(|ms| begun + Duration::from_millis(ms));
            times.filter(|now| denials.record(*now)).count()
        };
        assert_eq!((recorded(0), recorded(60)), (600, 600));
    }
}
