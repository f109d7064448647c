//! Waiting for something that another process or task does in its own time.
//!
//! Asking again and again instead of sleeping once: a quick machine does not wait, and a slow one has its time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest wait. What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a condition holds, for half a minute of tokio's time at most. `what` says what is waited for.
///
/// # Panics
/// When the condition does not hold by then.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(PAUSE).await;
    }
}
