//! The view of a fleet in Redis: two keys per breaker, one script per method.
//!
//! Both keys of a breaker share a hash tag, so the view works on a cluster.
//!
//! It works with any connection that can [run a script](RunScript) and reconnects by itself. While
//! Redis is unavailable, every method fails, and the breakers decide alone. The loss of a primary
//! loses ballots and lease, which return within an interval. In that moment two instances may probe
//! at once, which is harmless.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    ballot::{Ballot, VoteCount},
    scripts::{FleetScript, RunScript},
    view::{FleetError, FleetView},
};

/// A [`FleetView`] in Redis.
#[derive(Clone)]
pub struct RedisFleetView<R> {
    redis: R,
    prefix: Arc<str>,
}

impl<R> RedisFleetView<R> {
    /// Creates a view whose keys are `{prefix}fleet:{{breaker}}:…`. Fleets with different prefixes
    /// are separate.
    #[must_use]
    pub fn new(redis: R, prefix: impl Into<Arc<str>>) -> Self {
        Self { redis, prefix: prefix.into() }
    }

    fn key(&self, breaker: &str, what: &str) -> String {
        format!("{}fleet:{{{breaker}}}:{what}", self.prefix)
    }
}

/// Omits the connection, whose address may contain a password.
impl<R> fmt::Debug for RedisFleetView<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleetView").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[async_trait]
impl<R: RunScript> FleetView for RedisFleetView<R> {
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<VoteCount, FleetError> {
        let arguments = [instance, ballot.as_str(), &millis(ttl)];
        let numbers = self.redis.run(FleetScript::Vote, &[self.key(breaker, "ballots")], &arguments).await?;
        match numbers[..] {
            [instances, open, recovered] => Ok(VoteCount { instances, open, recovered }),
            _ => Err(FleetError("three numbers were expected".into())),
        }
    }

    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError> {
        let arguments = [instance, &*millis(lease)];
        let numbers = self.redis.run(FleetScript::Elect, &[self.key(breaker, "lease")], &arguments).await?;
        Ok(numbers == [1])
    }

    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError> {
        let keys = [self.key(breaker, "ballots"), self.key(breaker, "lease")];
        self.redis.run(FleetScript::Leave, &keys, &[instance]).await.map(drop)
    }
}

/// Returns whole milliseconds, at least one: Redis refuses an expiry of zero.
fn millis(time: Duration) -> String {
    time.as_millis().clamp(1, 1 << 40).to_string()
}
