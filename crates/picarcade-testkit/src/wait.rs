//! Waits of tests: for a condition that another process or task brings about, and for the next day
//! where a test must not cross midnight.
//!
//! Polling needs no guess about speed: a fast machine does not wait, and a slow one has enough
//! time. Polls pause, so that they use up no rate limit and no processor time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

/// The longest wait. It is long because only a failing test waits that long.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until a condition holds, for at most two minutes of tokio's time. `what` names the
/// condition in the panic message.
///
/// # Panics
///
/// Panics if the condition does not hold within that time.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {TIMEOUT:?}: {what}");
        sleep(POLL_INTERVAL).await;
    }
}

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
