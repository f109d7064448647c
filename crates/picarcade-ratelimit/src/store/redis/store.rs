//! Counts in Redis, shared by a fleet.
//!
//! A decision is one script and one round trip. The time is that of the server, and it never steps
//! back within a counter. All keys of a store share one hash tag and therefore one slot, so
//! decisions are exact in a cluster too, at the speed of one node.
//!
//! If Redis is unavailable, a call fails with [`Error::Unavailable`]. If the request was sent and
//! the answer was lost, it fails with [`Error::Interrupted`]; a reservation is repeated once under
//! the same id, which charges nothing twice. The limiter decides what happens to the request then.
//!
//! A Redis that was flushed, replaced, restarted or promoted does not know everything that was
//! spent, and neither does one that traffic returns to. With an [`ExpenseLedger`], the dollar
//! counters of a scope are raised to what the ledger knows before the first dollar is reserved in
//! it, and again after each such change. See `lua/epoch.lua` for how a change is detected.

use std::sync::Arc;

use async_trait::async_trait;
use picarcade_redis::RedisHandle;

use super::super::contract::Step;
use super::arrival::Arrival;
use super::batch::{Member, Part};
use super::batcher::{Batcher, Entry, Reply};
use super::bytes::malformed_reply;
use super::client::{Client, Run, is_plain, millis};
use super::encoding::Encoded;
use super::keys::Keys;
use super::reply::{self, Comparison};
use super::scripts::SCRIPTS;
use crate::{
    Ask, Clock, Error, ExpenseLedger, Plan, Report, ReservationId, Scope, Settled, Shards, Store,
    StoreDecision, Subjects,
};

const DEFAULT_TAG: &str = "ratelimit";

/// Counts in Redis.
#[derive(Debug, Clone)]
pub struct RedisStore {
    client: Client,
    batcher: Arc<Batcher>,
    arrival: Arc<Arrival>,
}

impl RedisStore {
    /// Creates a store on `redis`, whose prefix precedes every key.
    #[must_use]
    pub fn new(redis: RedisHandle) -> Self {
        Self::with_client(Client {
            redis,
            keys: Keys::new(DEFAULT_TAG),
            clock: None,
            ledger: None,
            max_reservations: 1_000_000,
        })
    }

    fn with_client(client: Client) -> Self {
        Self { batcher: Batcher::new(client.clone()), arrival: Arc::default(), client }
    }

    /// Sets the hash tag of every key; default `ratelimit`. Limiters with different limits that
    /// must not share counts need different tags or prefixes.
    #[must_use]
    pub fn tag(self, tag: &str) -> Self {
        Self::with_client(Client { keys: Keys::new(tag), ..self.client })
    }

    /// Sets the ledger of what was spent, which is read if Redis may have missed some of it.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn ExpenseLedger>) -> Self {
        self.client.ledger = Some(ledger);
        self
    }

    /// Sets how many reservations of the whole fleet may be open at once; default 1,000,000. At the
    /// bound, dollars are rejected.
    #[must_use]
    pub fn max_reservations(mut self, reservations: usize) -> Self {
        self.client.max_reservations = reservations;
        self
    }

    /// Uses the time of a manual clock instead of that of the server, to replay a log or to compare
    /// stores.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self::with_client(Client { clock: Some(clock), ..self.client })
    }

    /// Distributes the store over `users` (1 to 255) shards and a shared slot. Each has its own
    /// hash tag: `tag:0` and so on, and `tag:shared`.
    #[must_use]
    pub fn sharded(self, users: usize) -> Shards {
        let part = |name: &str| -> Arc<dyn Store> {
            let client = self.client.clone();
            Arc::new(Self::with_client(Client { keys: client.keys.part(name), ..client }))
        };
        Shards::new(part("shared"), (0..users).map(|shard| part(&shard.to_string())).collect())
    }

    /// Decides a request without dollars: by itself, or together with others that wait.
    async fn decide_plain(&self, ask: Ask<'_>, present: &[Scope]) -> Result<Step<Comparison>, Error> {
        match self.batcher.enter(|| self.member(ask, present))? {
            Entry::Alone(turn) => {
                let answer = self.client.decide(ask, present, Run::Charge).await;
                if let Err(error) = &answer {
                    turn.fail(error);
                }
                answer
            }
            Entry::Batched(reply) => match reply.await {
                Ok(Reply::Decided(answers, index)) => answers.read(index, ask.plan, present),
                Ok(Reply::SendAlone) => self.client.decide(ask, present, Run::Charge).await,
                Ok(Reply::Failed(error)) => Err(error),
                Err(_) => {
                    Err(Error::Interrupted { reason: "the task that sent the batch has ended".to_owned() })
                }
            },
        }
    }

    fn member(&self, ask: Ask<'_>, present: &[Scope]) -> Member {
        let part = |scope: &Scope| {
            let limits = Arc::clone(Encoded::of(ask.plan, *scope)?);
            Some(Part { key: self.client.keys.state(ask.plan, *scope, ask.subjects), limits })
        };
        let parts = present.iter().filter_map(part).collect();
        Member { requests: ask.requests, keep: millis(ask.ttl), parts }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        let present = ask.plan.present(ask.subjects);
        if self.client.asks_the_ledger(&ask) {
            return self.arrival.decide(&self.client, ask, &present).await;
        }
        let answer = if is_plain(&ask) && !present.is_empty() {
            self.decide_plain(ask, &present).await
        } else {
            self.client.decide_twice(ask, &present).await
        };
        match answer? {
            Step::Decided(decision) => Ok(decision),
            Step::Compare(_) => Err(malformed_reply()),
        }
    }

    async fn conclude(&self, id: ReservationId, actual_micros: Option<u64>) -> Result<Settled, Error> {
        let client = &self.client;
        let keys = [client.keys.record(id), client.keys.deadlines()];
        let actual = actual_micros.map_or_else(|| "-1".to_owned(), |micros| micros.to_string());
        let args = [client.time().to_string(), actual].map(String::into_bytes);
        reply::settled(&client.eval(&SCRIPTS.settle, &keys, &args).await?)
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        let ask = Ask::new(plan, subjects);
        match self.client.decide(ask, &plan.present(subjects), Run::Dry).await? {
            Step::Decided(StoreDecision::Admitted(report)) => Ok(report),
            _ => Err(malformed_reply()),
        }
    }
}
