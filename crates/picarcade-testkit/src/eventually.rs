//! Waits for a condition that another process or task brings about.
//!
//! Polling needs no guess about speed: a fast machine does not wait, and a slow one has enough
//! time. Polls pause, so that they use up no rate limit and no processor time.

use std::time::Duration;

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
