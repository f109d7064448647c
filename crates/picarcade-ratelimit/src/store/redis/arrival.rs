//! Dollars after a change of the server: which connection was reported to it, and how many look-ups
//! in the ledger run at once.
//!
//! A restarted or promoted server shows itself by its run id, which the script compares. A server
//! that traffic returns to is the same process as before and looks complete: only its clients know
//! that they spent elsewhere. So each client reports every change of its connection before it
//! reserves a dollar on it; see `lua/epoch.lua`.

use std::sync::atomic::{AtomicU64, Ordering};

use picarcade_redis::Role;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::RedisStore;
use super::wire::Answer;
use crate::ledger::{LOOKUP_TIMEOUT, spent};
use crate::{Ask, Error, Scope, Verdict};

/// How many requests of one store read the ledger at the same time. The others wait, and mostly
/// find it done.
const MAX_LOOKUPS: usize = 4;
/// How often one request is compared. More than one comparison is needed only if the server changes
/// again meanwhile.
const MAX_ROUNDS: usize = 3;

/// No generation of a connection.
const NONE: u64 = u64::MAX;

/// What a store has reported to its server.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The generation of the connection that was reported last.
    reported: AtomicU64,
    /// Which endpoint that was.
    role: Mutex<Option<Role>>,
    lookups: Semaphore,
}

impl Default for Arrival {
    fn default() -> Self {
        Self { reported: AtomicU64::new(NONE), role: Mutex::default(), lookups: Semaphore::new(MAX_LOOKUPS) }
    }
}

impl RedisStore {
    /// Decides a question that reserves dollars and may depend on the ledger.
    pub(super) async fn decide_with_ledger(&self, ask: Ask<'_>, present: &[Scope]) -> Result<Verdict, Error> {
        let generation = self.arrive().await?;
        let until = Instant::now() + LOOKUP_TIMEOUT;
        let mut turn: Option<SemaphorePermit<'_>> = None;
        let mut rounds = 0;
        let verdict = loop {
            let (scopes, stamp) = match self.decide_twice(ask, present).await? {
                Answer::Decided(verdict) => break verdict,
                Answer::Seed { scopes, stamp } => (scopes, stamp),
            };
            if turn.is_none() {
                turn = self.arrival.lookups.try_acquire().ok();
                if turn.is_none() {
                    let permit = timeout_at(until, self.arrival.lookups.acquire()).await;
                    turn = Some(permit.ok().and_then(Result::ok).ok_or(Error::Rebuilding)?);
                    // The requests before this one may have compared the same scopes.
                    continue;
                }
            }
            if rounds == MAX_ROUNDS {
                return Err(Error::Rebuilding);
            }
            rounds += 1;
            for scope in scopes {
                timeout_at(until, self.compare(ask, scope, stamp)).await.unwrap_or(Err(Error::Rebuilding))?;
            }
        };
        // A server that the question went to before it was reported may have admitted by old
        // counters.
        if self.redis.generation() != generation {
            return Err(Error::Interrupted { reason: "traffic moved to another connection".to_owned() });
        }
        Ok(verdict)
    }

    /// Reports a new connection to its server, once, and returns its generation.
    async fn arrive(&self) -> Result<u64, Error> {
        let Arrival { reported, role, .. } = &*self.arrival;
        let generation = self.redis.generation();
        if reported.load(Ordering::Acquire) == generation {
            return Ok(generation);
        }
        let unavailable = |reason: &str| Error::Unavailable { reason: reason.to_owned() };
        let mut role = timeout(self.patience(), role.lock())
            .await
            .map_err(|_| unavailable("a new connection is not reported yet"))?;
        let status = self.redis.status();
        if reported.load(Ordering::Acquire) == status.generation {
            return Ok(status.generation);
        }
        // A process that begins may have spent at the other endpoint in its earlier life.
        let elsewhere = role.map_or(self.redis.has_backup(), |last| last != status.active);
        let args = [self.time().to_string(), if elsewhere { "2" } else { "1" }.to_owned()];
        self.call(&self.scripts.arrive, &[self.keys.epoch()], &args.map(String::into_bytes)).await?;
        if self.redis.generation() != status.generation {
            return Err(unavailable("traffic moved to another connection"));
        }
        *role = Some(status.active);
        reported.store(status.generation, Ordering::Release);
        Ok(status.generation)
    }

    /// Raises the counters of one scope to what the ledger says.
    async fn compare(&self, ask: Ask<'_>, scope: Scope, stamp: u64) -> Result<(), Error> {
        let Some(ledger) = &self.ledger else { return Err(Error::Rebuilding) };
        let Some(group) = ask.plan.group(scope) else { return Err(Error::Rebuilding) };
        let subject = ask.subjects.of(scope).unwrap_or_default();
        let spent = spent(&**ledger, scope, subject, group).await?;
        let mut args = vec![
            self.time().to_string().into_bytes(),
            super::store::millis(ask.ttl).to_string().into_bytes(),
            group.amounts.to_string().into_bytes(),
            group.packed.to_vec(),
            stamp.to_string().into_bytes(),
        ];
        args.extend(spent.into_iter().map(|micros| micros.to_string().into_bytes()));
        let keys = [self.keys.deadlines(), self.keys.state(ask.plan, scope, ask.subjects), self.keys.epoch()];
        self.call(&self.scripts.seed, &keys, &args).await.map(drop)
    }
}
