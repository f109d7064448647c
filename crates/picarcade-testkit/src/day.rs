//! Tests that must not cross midnight.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of a day, which UTC does not change.
const DAY: Duration = Duration::from_hours(24);

/// The time that a test gets before midnight.
const NEEDED: Duration = Duration::from_mins(2);

/// Blocks while the UTC day has less than two minutes left.
///
/// Use it in tests of counts per UTC day, which start from zero at midnight. It blocks the thread,
/// so it also works in a test with paused time.
pub fn stay_within_one_day() {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = remaining(now);
        if left >= NEEDED {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// Returns the remaining time of the day at this time since the epoch.
fn remaining(now: Duration) -> Duration {
    DAY.saturating_sub(Duration::from_secs(now.as_secs() % DAY.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::{DAY, remaining};
    use std::time::Duration;

    #[test]
    fn a_day_ends_at_midnight() {
        let second = Duration::from_secs(1);
        assert_eq!(remaining(Duration::ZERO), DAY);
        assert_eq!(remaining(DAY * 20_000), DAY);
        assert_eq!(remaining((DAY * 20_000).checked_sub(second).unwrap()), second);
        assert_eq!(remaining(DAY * 20_000 + second), DAY.checked_sub(second).unwrap());
    }
}
