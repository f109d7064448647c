//! Waits until several servers agree, by polling with a deadline.

use std::future::Future;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::host::process::{PATIENCE, POLL};

/// Polls until the answer is `Some`. Single errors are ignored, because servers restart meanwhile.
pub(super) async fn until<T, F, Fut>(what: &'static str, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let start = Instant::now();
    loop {
        let reason = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        let waited = start.elapsed();
        if waited > PATIENCE {
            return Err(Error::NotReady { program: what, waited, reason, log: String::new() });
        }
        tokio::time::sleep(POLL).await;
    }
}
