//! Calls the maintenance of the store at its interval.

use std::time::SystemTime;

use super::shared::Shared;
use crate::Store;

/// Runs until the recorder is closing. A failure is logged, and the next interval tries again.
pub(super) async fn run(shared: &Shared, store: &dyn Store) {
    let Some(interval) = shared.config.maintain_interval else { return };
    let mut pause = interval.min(std::time::Duration::from_secs(1));
    let mut is_lagging = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.closing() => return,
        }
        pause = interval;
        if shared.is_down() {
            continue;
        }
        tokio::select! {
            done = store.maintain(SystemTime::now()) => match done {
                Ok(done) => {
                    let was_lagging = std::mem::replace(&mut is_lagging, !done.retention_lag.is_zero());
                    if is_lagging && !was_lagging {
                        let ahead = done.retention_lag;
                        tracing::warn!(?ahead, "the clock jumped ahead: retention follows slowly, correct the clock if it is wrong");
                    }
                    tracing::debug!(?done, "analytics maintenance");
                }
                Err(error) => tracing::warn!(%error, kind = error.kind(), "analytics maintenance failed"),
            },
            () = shared.closing() => return,
        }
    }
}
