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
//! A Redis that was flushed, replaced, restarted or promoted does not know all that was spent, and
//! neither does one that traffic returns to. With a [`Ledger`], the dollar counters of a scope are
//! raised to what the ledger says before the first dollar is reserved in it, and again after each
//! such change. See `lua/epoch.lua` for how a change is noticed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use picarcade_redis::{Error as RedisError, RedisHandle, Script, Value};

use super::answers::Answers;
use super::arrival::Arrival;
use super::batch::{Batch, Member, Part};
use super::gathering::{Entry, Failure, Gathering, Told};
use super::keys::Keys;
use super::scripts::Scripts;
use super::wire::{self, Answer, Present};
use crate::{
    Ask, Clock, Error, Ledger, Plan, Report, ReservationId, Scope, Settled, Shards, Store, Subjects, Verdict,
};

const DEFAULT_TAG: &str = "ratelimit";

/// Counts in Redis.
#[derive(Debug, Clone)]
pub struct RedisStore {
    pub(super) redis: RedisHandle,
    pub(super) scripts: Arc<Scripts>,
    pub(super) keys: Keys,
    pub(super) gathering: Arc<Gathering>,
    pub(super) arrival: Arc<Arrival>,
    pub(super) clock: Option<Clock>,
    pub(super) ledger: Option<Arc<dyn Ledger>>,
    pub(super) max_reservations: usize,
}

impl RedisStore {
    /// A store behind `redis`, whose prefix comes before every key.
    #[must_use]
    pub fn new(redis: RedisHandle) -> Self {
        Self {
            redis,
            scripts: Arc::new(Scripts::new()),
            keys: Keys::new(DEFAULT_TAG),
            gathering: Arc::default(),
            arrival: Arc::default(),
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
        self.gathering = Arc::default();
        self.arrival = Arc::default();
        self
    }

    /// Where to look up what was spent, wherever Redis may have missed it.
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
        self.gathering = Arc::default();
        self
    }

    /// The same store, spread over `users` (1 to 255) shards and one more, each with a hash tag of its own: `tag:0` and so
    /// on, and `tag:shared`.
    #[must_use]
    pub fn sharded(self, users: usize) -> Shards {
        let part = |name: &str| -> Arc<dyn Store> {
            Arc::new(Self {
                keys: self.keys.part(name),
                gathering: Arc::default(),
                arrival: Arc::default(),
                ..self.clone()
            })
        };
        Shards::new(part("shared"), (0..users).map(|shard| part(&shard.to_string())).collect())
    }

    /// For how long a request waits to be sent.
    pub(super) fn patience(&self) -> Duration {
        self.redis.command_timeout()
    }

    /// The server's own time is asked for with 0.
    pub(super) fn time(&self) -> u64 {
        self.clock.as_ref().and_then(Clock::dictated).unwrap_or(0)
    }

    /// Decides one question by itself.
    pub(super) async fn decide(&self, ask: Ask<'_>, present: &[Scope], dry: bool) -> Result<Answer, Error> {
        let mut keys = Vec::with_capacity(present.len() + 3);
        keys.push(self.keys.deadlines());
        keys.extend(present.iter().map(|scope| self.keys.state(ask.plan, *scope, ask.subjects)));
        keys.extend(ask.reservation.map(|id| self.keys.record(id)));
        if self.asks_the_ledger(&ask) {
            keys.push(self.keys.epoch());
        }
        let mut head = Vec::with_capacity(16 + 5 + 28);
        wire::put_double(&mut head, self.time());
        wire::put_double(&mut head, ask.requests);
        wire::put(&mut head, millis(ask.ttl), 5);
        let mut descriptors = Vec::with_capacity(256);
        for group in present.iter().filter_map(|scope| ask.plan.group(*scope)) {
            wire::put(&mut head, group.amounts, 7);
            descriptors.extend_from_slice(&group.packed);
        }
        head.resize(head.capacity().max(head.len()), 0);
        let mut args = Vec::with_capacity(3);
        args.extend([head, descriptors]);
        if !is_plain(&ask) || dry {
            let mut more = Vec::with_capacity(32);
            let ledger = u64::from(self.asks_the_ledger(&ask));
            for number in [ask.cost_micros, u64::from(dry), self.max_reservations as u64, ledger] {
                wire::put_double(&mut more, number);
            }
            args.push(more);
        }
        let answer = self.eval(&self.scripts.acquire, &keys, &args).await?;
        wire::answer(&answer, ask.plan, present, ask.requests)
    }

    /// Decides a request without dollars: by itself, or with those that wait too.
    pub(super) async fn pass(&self, ask: Ask<'_>, present: &Present) -> Result<Answer, Error> {
        match self.gathering.enter(self, || self.member(ask, present))? {
            Entry::Now(_turn) => {
                let answer = self.decide(ask, present, false).await;
                if let Err(error) = &answer {
                    self.gathering.learn(error);
                }
                answer
            }
            Entry::Later(hears) => match hears.await {
                Ok(Told::Decided(answers, index)) => answers.of(index, ask.plan, present),
                Ok(Told::Alone) => self.decide(ask, present, false).await,
                Ok(Told::Failed(error)) => Err(error),
                Err(_) => Err(Error::Interrupted { reason: "the task that asked came to an end".to_owned() }),
            },
        }
    }

    pub(super) fn member(&self, ask: Ask<'_>, present: &Present) -> Member {
        let part = |scope: &Scope| {
            let group = ask.plan.group(*scope)?;
            Some(Part {
                key: self.keys.state(ask.plan, *scope, ask.subjects),
                packed: Arc::clone(&group.packed),
                amounts: group.amounts,
                rules: group.rules.len(),
            })
        };
        let parts = present.iter().filter_map(part).collect();
        Member { requests: ask.requests, keep: millis(ask.ttl), parts }
    }

    pub(super) async fn decide_together(&self, mut batch: Batch) -> Result<Answers, Failure> {
        let args = batch.arguments(self.time());
        let keys = batch.keys(self.keys.deadlines());
        let bytes = match self.redis.eval(&self.scripts.batch, &keys, &args).await {
            Ok(Value::Bytes(bytes)) => bytes,
            Ok(_) => return Err(Failure::Store(wire::nonsense())),
            Err(RedisError::Protocol { .. } | RedisError::TooLarge { .. }) => return Err(Failure::Question),
            Err(error) => return Err(Failure::Store(translated(&error))),
        };
        batch.answers(bytes).map_err(Failure::Store)
    }

    /// Decides one question. If the answer is lost and the question has an id, it is asked again:
    /// the id makes the repetition harmless, and money is worth a second round trip.
    pub(super) async fn decide_twice(&self, ask: Ask<'_>, present: &[Scope]) -> Result<Answer, Error> {
        match self.decide(ask, present, false).await {
            Err(Error::Interrupted { .. }) if ask.reservation.is_some() => {
                self.decide(ask, present, false).await
            }
            answer => answer,
        }
    }

    /// Whether the answer may depend on the ledger.
    pub(super) fn asks_the_ledger(&self, ask: &Ask<'_>) -> bool {
        ask.cost_micros > 0 && ask.reservation.is_some() && self.ledger.is_some()
    }

    pub(super) async fn conclude(&self, id: ReservationId, actual: &str) -> Result<Settled, Error> {
        let keys = [self.keys.record(id), self.keys.deadlines()];
        let args = [self.time().to_string().into_bytes(), actual.as_bytes().to_vec()];
        wire::settled(&self.eval(&self.scripts.settle, &keys, &args).await?)
    }

    pub(super) async fn eval(
        &self,
        script: &Script,
        keys: &[String],
        args: &[Vec<u8>],
    ) -> Result<bytes::Bytes, Error> {
        match self.call(script, keys, args).await? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(wire::nonsense()),
        }
    }

    pub(super) async fn call(
        &self,
        script: &Script,
        keys: &[String],
        args: &[Vec<u8>],
    ) -> Result<Value, Error> {
        self.redis.eval(script, keys, args).await.map_err(|error| translated(&error))
    }
}

fn translated(error: &RedisError) -> Error {
    let reason = error.to_string();
    if error.is_outcome_unknown() { Error::Interrupted { reason } } else { Error::Unavailable { reason } }
}

/// Whether it asks for requests and nothing else.
fn is_plain(ask: &Ask<'_>) -> bool {
    ask.cost_micros == 0 && ask.reservation.is_none()
}

pub(super) fn millis(duration: Duration) -> u64 {
    (duration.as_micros().div_ceil(1000) as u64).max(1)
}

#[async_trait]
impl Store for RedisStore {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        let present = Present::new(ask.plan, ask.subjects);
        if self.asks_the_ledger(&ask) {
            return self.decide_with_ledger(ask, &present).await;
        }
        let answer = if is_plain(&ask) && !present.is_empty() {
            self.pass(ask, &present).await
        } else {
            self.decide_twice(ask, &present).await
        };
        match answer? {
            Answer::Decided(verdict) => Ok(verdict),
            Answer::Seed { .. } => Err(wire::nonsense()),
        }
    }

    async fn settle(&self, _: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        self.conclude(id, &actual_micros.to_string()).await
    }

    async fn release(&self, _: &Plan, id: ReservationId) -> Result<Settled, Error> {
        self.conclude(id, "-1").await
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        let ask = Ask::new(plan, subjects);
        match self.decide(ask, &Present::new(plan, subjects), true).await? {
            Answer::Decided(Verdict::Admitted(report)) => Ok(report),
            _ => Err(wire::nonsense()),
        }
    }
}
