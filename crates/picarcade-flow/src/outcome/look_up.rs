//! Look-ups of generations in the log.
//!
//! A process remembers the generations that it has begun lately; older ones, and those of other
//! instances, are read from the log. Without a log they are not found; while the log does not
//! answer, the report must be sent again. A generation that another instance has begun a moment ago
//! may not be in the log yet, so a report of the operator waits for it.
//!
//! Ids can be made up, so look-ups are bounded: [`OPERATOR_QUERIES`] and [`USER_QUERIES`] queries
//! run at once, and at most [`MAX_WAITING`] reports wait.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::caller::Authority;
use crate::error::FlowError;
use crate::outcome::generations::{Generation, GenerationLog};

/// How long after its beginning a generation may be missing in the log.
const LOG_DELAY: Duration = Duration::from_secs(5);

/// The pause before the second query for a generation that may be missing. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How many queries for reports of operators run at once. Together with those of users they use
/// fewer connections than the smallest pool has, so that other queries get one.
const OPERATOR_QUERIES: usize = 2;

/// How many queries for reports of end users run at once. They must not delay those of operators.
const USER_QUERIES: usize = 1;

/// How many reports wait for generations that may be missing in the log.
const MAX_WAITING: usize = 16;

/// How long a report waits for permission to query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// The error of a report that may succeed in a moment.
const SOON: FlowError = FlowError::Unavailable { retry_after: Duration::from_secs(1) };

/// The log of generations, with bounds on its use.
#[derive(Debug)]
pub(crate) struct LookUps {
    log: Option<Arc<dyn GenerationLog>>,
    operators: Semaphore,
    users: Semaphore,
    waiting: Semaphore,
}

impl LookUps {
    pub(crate) fn new(log: Option<Arc<dyn GenerationLog>>) -> Self {
        Self {
            log,
            operators: Semaphore::new(OPERATOR_QUERIES),
            users: Semaphore::new(USER_QUERIES),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Returns the generation with this id. For an operator, waits until a generation that has just
    /// begun is in the log.
    pub(crate) async fn find(
        &self,
        generation_id: &str,
        authority: Authority,
    ) -> Result<Generation, FlowError> {
        let log = self.log.as_deref().ok_or(FlowError::NotFound)?;
        // Every id of this service is a UUID, so other ids need no query.
        let id = Uuid::parse_str(generation_id).map_err(|_| FlowError::NotFound)?;
        let (queries, wait) = match authority {
            Authority::Operator => (&self.operators, Some(id)),
            Authority::EndUser => (&self.users, None),
        };
        if let Some(generation) = query(queries, log, generation_id).await? {
            return Ok(generation);
        }
        let wait = wait.map_or(Duration::ZERO, |id| time_to_appear(id, SystemTime::now()));
        if wait.is_zero() {
            return Err(FlowError::NotFound);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| SOON)?;
        let (deadline, mut pause) = (Instant::now() + wait, FIRST_PAUSE);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FlowError::NotFound);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause *= 2;
            if let Some(generation) = query(queries, log, generation_id).await? {
                return Ok(generation);
            }
        }
    }
}

/// Queries the log once, when the other reports leave a permit.
async fn query(
    queries: &Semaphore,
    log: &dyn GenerationLog,
    generation_id: &str,
) -> Result<Option<Generation>, FlowError> {
    let permit = tokio::time::timeout(QUERY_TIMEOUT, queries.acquire()).await;
    let Ok(Ok(_permit)) = permit else { return Err(SOON) };
    log.find(generation_id).await.map_err(|error| {
        tracing::debug!(%error, "a generation could not be looked up");
        SOON
    })
}

/// Returns how much longer the generation with this id may be missing in the log, from the time of
/// its beginning in the id.
fn time_to_appear(id: Uuid, now: SystemTime) -> Duration {
    let Some(begun) = id.get_timestamp() else { return Duration::ZERO };
    let (seconds, nanos) = begun.to_unix();
    let begun = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    // The clock of another instance may be a little ahead.
    match now.duration_since(begun) {
        Ok(age) => LOG_DELAY.saturating_sub(age),
        Err(ahead) if ahead.duration() <= LOG_DELAY => LOG_DELAY,
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_generation_begun_a_moment_ago_may_be_missing() {
        let id = |seconds| Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(time_to_appear(id(998), now), Duration::from_secs(3));
        assert_eq!(time_to_appear(id(1002), now), LOG_DELAY);
        for seconds in [0, 994, 1006, 1 << 40] {
            assert_eq!(time_to_appear(id(seconds), now), Duration::ZERO, "{seconds}");
        }
        assert_eq!(time_to_appear(Uuid::nil(), now), Duration::ZERO);
    }
}
