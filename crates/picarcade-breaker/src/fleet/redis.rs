//! The view of a fleet in Redis: two keys per breaker, one script per method.
//!
//! Both keys of a breaker share a hash tag, so the view works on a cluster.
//!
//! It works with any connection that can [run a script](RunScript) and reconnects by itself. While
//! Redis is unavailable, every method fails, and the breakers decide alone. The loss of a primary
//! loses ballots and lease, which return within an interval. In that moment two instances may probe
//! at once, which is harmless.
//!
//! Casting a ballot, removing expired ones and counting are one atomic step, and the time must be
//! the server's, because instances have no common clock. The keys expire, so a fleet that ends
//! leaves nothing behind.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::view::{Ballot, FleetError, FleetView, VoteCount};

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

/// One of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FleetScript {
    /// Casts a ballot and counts.
    Vote,
    /// Elects a prober.
    Elect,
    /// Removes ballot and lease.
    Leave,
}

impl FleetScript {
    /// All scripts, for clients that load them in advance.
    pub const ALL: [Self; 3] = [Self::Vote, Self::Elect, Self::Leave];

    /// Returns a stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vote => "fleet-vote",
            Self::Elect => "fleet-elect",
            Self::Leave => "fleet-leave",
        }
    }

    /// Returns the Lua source.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Vote => VOTE,
            Self::Elect => ELECT,
            Self::Leave => LEAVE,
        }
    }
}

/// A connection that can run scripts in Redis. With the feature `redis`, every asynchronous
/// connection of the `redis` crate implements it.
#[async_trait]
pub trait RunScript: Send + Sync {
    /// Runs the script atomically over these keys, which share a hash tag. Returns the numbers of
    /// the answer: one, or those of a list.
    ///
    /// # Errors
    ///
    /// Returns [`FleetError`] if Redis cannot be reached, refuses, or answers anything else. The
    /// call must end by itself.
    async fn run(
        &self,
        script: FleetScript,
        keys: &[String],
        arguments: &[&str],
    ) -> Result<Vec<u64>, FleetError>;
}

/// KEYS: ballots. ARGV: instance, ballot, milliseconds. Returns instances, open, recovered.
const VOTE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. string.format('%.0f', now + ARGV[3]))
local tally, last = {total = 0, open = 0, recovered = 0}, 0
local ballots = redis.call('HGETALL', KEYS[1])
for i = 1, #ballots, 2 do
    local ballot, expires = string.match(ballots[i + 1], '^(%a+):(%d+)$')
    expires = tonumber(expires or 0)
    if expires <= now then
        redis.call('HDEL', KEYS[1], ballots[i])
    else
        tally.total = tally.total + 1
        tally[ballot] = (tally[ballot] or 0) + 1
        last = math.max(last, expires)
    end
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return {tally.total, tally.open, tally.recovered}
";

/// KEYS: lease. ARGV: instance, milliseconds. Returns 1 for the elected instance.
const ELECT: &str = r"
local holder = redis.call('GET', KEYS[1])
if not holder then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
end
return holder == ARGV[1] and 1 or 0
";

/// KEYS: ballots, lease. ARGV: instance.
const LEAVE: &str = r"
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[2])
end
return 0
";
