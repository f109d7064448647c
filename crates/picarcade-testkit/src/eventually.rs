//! Waits for a condition that another process or task brings about.
//!
//! Polling needs no guess about speed: a fast machine does not wait, and a slow one gets the time
//! it needs.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest wait. A condition that does not hold by then is a failure.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a condition holds, for at most 30 seconds of tokio's time. `what` names the
/// condition in the panic message.
///
/// # Panics
///
/// Panics if the condition does not hold within that time.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(PAUSE).await;
    }
}
