//! The fleet's view in Redis (feature `redis`): two keys per breaker, one script per method.
//!
//! Both keys of a breaker share a hash tag, so the view works on a cluster.
//!
//! It works on any connection of the `redis` crate that reconnects by itself. While Redis is away every method fails, and
//! the breakers are left to themselves. A primary that is lost takes ballots and lease along; they are back within an
//! interval. Two probers at once are possible in that moment: two probes, no harm.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use redis::{Script, ScriptInvocation, aio::ConnectionLike};

use super::{Ballot, FleetError, FleetView, Tally, scripts};

static VOTE: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::VOTE));
static ELECT: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::ELECT));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::LEAVE));

/// A [`FleetView`] in Redis, over any asynchronous connection of the `redis` crate.
#[derive(Clone)]
pub struct RedisFleetView<C> {
    connection: C,
    prefix: Arc<str>,
}

impl<C> RedisFleetView<C> {
    /// A view whose keys are `{prefix}:fleet:{{breaker}}:…`. Fleets with different prefixes do not see each other.
    #[must_use]
    pub fn new(connection: C, prefix: impl Into<Arc<str>>) -> Self {
        Self { connection, prefix: prefix.into() }
    }

    fn key(&self, breaker: &str, what: &str) -> String {
        format!("{}:fleet:{{{breaker}}}:{what}", self.prefix)
    }
}

/// Without the connection, whose address may hold a password.
impl<C> fmt::Debug for RedisFleetView<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleetView").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> RedisFleetView<C> {
    async fn run<T: redis::FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, FleetError> {
        let mut connection = self.connection.clone();
        script.invoke_async(&mut connection).await.map_err(|error| FleetError(Box::new(error)))
    }
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync> FleetView for RedisFleetView<C> {
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<Tally, FleetError> {
        let mut script = VOTE.key(self.key(breaker, "ballots"));
        script.arg(instance).arg(ballot.as_str()).arg(millis(ttl));
        let (instances, open, recovered) = self.run(&script).await?;
        Ok(Tally { instances, open, recovered })
    }

    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError> {
        let mut script = ELECT.key(self.key(breaker, "lease"));
        script.arg(instance).arg(millis(lease));
        self.run(&script).await
    }

    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError> {
        let mut script = LEAVE.key(self.key(breaker, "ballots"));
        script.key(self.key(breaker, "lease")).arg(instance);
        self.run::<u64>(&script).await.map(drop)
    }
}

/// Whole milliseconds, at least one: Redis refuses to expire after none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 40)
}
