//! Counts in Redis, shared by a fleet.
//!
//! A decision is one script and one round trip. The time is the server's, clamped so that it never steps back within a
//! counter. All keys of a store share one hash tag and therefore one slot: decisions are exact in a cluster too, at the
//! speed of one node.
//!
//! When Redis cannot be asked, the call fails with [`Error::Unavailable`] or, where the question was sent and the answer
//! never came, [`Error::Interrupted`]; a reservation is then asked for once more under the same id, which charges nothing
//! twice. What happens to the request after that is the limiter's to say, not this store's: see [`Fallback`](crate::Fallback).
//!
//! A Redis that was flushed, replaced or restarted empty knows nothing of what was spent. With a [`Ledger`], a scope that
//! is met for the first time is charged with what the ledger says before any dollar is reserved in it.

mod keys;
mod scripts;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use picarcade_redis::{RedisHandle, Script, Value};

use self::keys::Keys;
use self::scripts::Scripts;
use self::wire::Answer;
use crate::ledger::spent;
use crate::{
    Ask, Clock, Error, Ledger, Plan, Report, ReservationId, Scope, Settled, Shards, Store, Subjects, Verdict,
};

const DEFAULT_TAG: &str = "ratelimit";

/// Counts in Redis.
#[derive(Debug, Clone)]
pub struct RedisStore {
    redis: RedisHandle,
    scripts: Arc<Scripts>,
    keys: Keys,
    clock: Option<Clock>,
    ledger: Option<Arc<dyn Ledger>>,
    max_reservations: usize,
}

impl RedisStore {
    /// A store behind `redis`, whose prefix comes before every key.
    #[must_use]
    pub fn new(redis: RedisHandle) -> Self {
        Self {
            redis,
            scripts: Arc::new(Scripts::new()),
            keys: Keys::new(DEFAULT_TAG),
            clock: None,
            ledger: None,
            max_reservations: 1_000_000,
        }
    }

    /// The word inside the hash tag of every key; default `ratelimit`. Limiters with different limits that should not
    /// share counts need different tags or prefixes.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.keys = Keys::new(tag);
        self
    }

    /// Where to look up what was spent before Redis knew of it.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// How many reservations may be open at one time in the whole fleet; default 1,000,000. Beyond it money is closed.
    #[must_use]
    pub fn max_reservations(mut self, reservations: usize) -> Self {
        self.max_reservations = reservations;
        self
    }

    /// Takes the time from a clock moved by hand instead of the server's: to replay a log, or to compare stores.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The same store, spread over `users` (1 to 255) shards and one more, each with a hash tag of its own: `tag:0` and so
    /// on, and `tag:shared`.
    #[must_use]
    pub fn sharded(self, users: usize) -> Shards {
        let part =
            |name: &str| -> Arc<dyn Store> { Arc::new(Self { keys: self.keys.part(name), ..self.clone() }) };
        Shards::new(part("shared"), (0..users).map(|shard| part(&shard.to_string())).collect())
    }

    /// The server's own time is asked for with 0.
    fn time(&self) -> u64 {
        self.clock.as_ref().and_then(Clock::dictated).unwrap_or(0)
    }

    async fn decide(&self, ask: Ask<'_>, dry: bool) -> Result<Answer, Error> {
        let present = wire::present(ask.plan, ask.subjects);
        let mut keys = Vec::with_capacity(present.len() + 2);
        keys.extend(present.iter().map(|scope| self.keys.state(ask.plan, *scope, ask.subjects)));
        keys.push(self.keys.deadlines());
        keys.extend(ask.reservation.map(|id| self.keys.record(id)));
        let numbers = [
            self.time(),
            ask.requests,
            ask.cost_micros,
            present.len() as u64,
            u64::from(dry),
            millis(ask.ttl),
            self.max_reservations as u64,
            u64::from(self.ledger.is_some()),
        ];
        let groups = || present.iter().filter_map(|scope| ask.plan.group(*scope));
        let mut fast = Vec::with_capacity(6);
        if ask.cost_micros == 0 && ask.reservation.is_none() && !dry && !present.is_empty() {
            fast.extend([self.time(), ask.requests]);
            fast.extend(groups().map(|group| group.amounts));
        }
        let mut descriptors = Vec::with_capacity(512);
        for group in groups() {
            descriptors.extend_from_slice(&group.packed);
        }
        let args = [wire::doubles(&fast), wire::doubles(&numbers), descriptors];
        let answer = self.eval(&self.scripts.acquire, &keys, &args).await?;
        wire::answer(&answer, ask.plan, &present, ask.requests)
    }

    async fn seed(&self, ask: Ask<'_>, scope: Scope) -> Result<(), Error> {
        let Some(ledger) = &self.ledger else { return Err(Error::Rebuilding) };
        let Some(group) = ask.plan.group(scope) else { return Err(Error::Rebuilding) };
        let mut args = vec![
            self.time().to_string().into_bytes(),
            millis(ask.ttl).to_string().into_bytes(),
            group.packed.to_vec(),
        ];
        let subject = ask.subjects.of(scope).unwrap_or_default();
        let spent = spent(&**ledger, scope, subject, group).await?;
        args.extend(spent.into_iter().map(|micros| micros.to_string().into_bytes()));
        let state = self.keys.state(ask.plan, scope, ask.subjects);
        self.call(&self.scripts.seed, &[state, self.keys.deadlines()], &args).await.map(drop)
    }

    async fn conclude(&self, id: ReservationId, actual: &str) -> Result<Settled, Error> {
        let keys = [self.keys.record(id), self.keys.deadlines()];
        let args = [self.time().to_string().into_bytes(), actual.as_bytes().to_vec()];
        wire::settled(&self.eval(&self.scripts.settle, &keys, &args).await?)
    }

    async fn eval(&self, script: &Script, keys: &[String], args: &[Vec<u8>]) -> Result<bytes::Bytes, Error> {
        match self.call(script, keys, args).await? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(wire::nonsense()),
        }
    }

    async fn call(&self, script: &Script, keys: &[String], args: &[Vec<u8>]) -> Result<Value, Error> {
        self.redis.eval(script, keys, args).await.map_err(|error| {
            let reason = error.to_string();
            if error.is_outcome_unknown() {
                Error::Interrupted { reason }
            } else {
                Error::Unavailable { reason }
            }
        })
    }
}

fn millis(duration: Duration) -> u64 {
    (duration.as_micros().div_ceil(1000) as u64).max(1)
}

#[async_trait]
impl Store for RedisStore {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        let mut answer = self.decide(ask, false).await;
        if ask.reservation.is_some() && matches!(answer, Err(Error::Interrupted { .. })) {
            // The id makes the repetition harmless, and money is worth a second question.
            answer = self.decide(ask, false).await;
        }
        match answer? {
            Answer::Decided(verdict) => Ok(verdict),
            Answer::Seed(scopes) => {
                for scope in scopes {
                    self.seed(ask, scope).await?;
                }
                match self.decide(ask, false).await? {
                    Answer::Decided(verdict) => Ok(verdict),
                    // Flushed again in between.
                    Answer::Seed(_) => Err(Error::Rebuilding),
                }
            }
        }
    }

    async fn settle(&self, _: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        self.conclude(id, &actual_micros.to_string()).await
    }

    async fn release(&self, _: &Plan, id: ReservationId) -> Result<Settled, Error> {
        self.conclude(id, "-1").await
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        match self.decide(Ask::new(plan, subjects), true).await? {
            Answer::Decided(Verdict::Admitted(report)) => Ok(report),
            _ => Err(wire::nonsense()),
        }
    }
}
