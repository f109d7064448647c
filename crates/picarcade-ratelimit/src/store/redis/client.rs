//! What every request of a store to Redis needs, and a decision over one request by itself: one
//! script and one round trip.

use std::sync::Arc;
use std::time::Duration;

use picarcade_redis::{Error as RedisError, RedisHandle, Script, Value};

use super::super::contract::Step;
use super::bytes::{malformed_reply, put, put_double};
use super::encoding::Encoded;
use super::keys::Keys;
use super::layout::NUMBER;
use super::reply::{self, Comparison};
use super::scripts::SCRIPTS;
use crate::{Ask, Clock, Error, ExpenseLedger, Scope};

/// The connection, the keys and the settings of a store.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) redis: RedisHandle,
    pub(super) keys: Keys,
    pub(super) clock: Option<Clock>,
    pub(super) ledger: Option<Arc<dyn ExpenseLedger>>,
    pub(super) max_reservations: usize,
}

/// Whether a decision charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Charge,
    /// Only reads the state of the limits.
    Dry,
}

impl Client {
    /// Returns how long a request waits before it is sent.
    pub(super) fn timeout(&self) -> Duration {
        self.redis.command_timeout()
    }

    /// Returns the time for a script. With 0 the script uses the time of the server.
    pub(super) fn time(&self) -> u64 {
        self.clock.as_ref().and_then(Clock::manual).unwrap_or(0)
    }

    /// Returns whether the decision may depend on the ledger.
    pub(super) fn asks_the_ledger(&self, ask: &Ask<'_>) -> bool {
        ask.cost_micros > 0 && ask.reservation.is_some() && self.ledger.is_some()
    }

    /// Decides one request by itself.
    pub(super) async fn decide(
        &self,
        ask: Ask<'_>,
        present: &[Scope],
        run: Run,
    ) -> Result<Step<Comparison>, Error> {
        let mut keys = Vec::with_capacity(present.len() + 3);
        keys.push(self.keys.deadlines());
        keys.extend(present.iter().map(|scope| self.keys.state(ask.plan, *scope, ask.subjects)));
        keys.extend(ask.reservation.map(|id| self.keys.record(id)));
        if self.asks_the_ledger(&ask) {
            keys.push(self.keys.epoch());
        }
        let mut head = Vec::with_capacity(16 + 5 + NUMBER * Scope::COUNT);
        put_double(&mut head, self.time());
        put_double(&mut head, ask.requests);
        put(&mut head, millis(ask.ttl), 5);
        let mut descriptors = Vec::with_capacity(256);
        for encoded in present.iter().filter_map(|scope| Encoded::of(ask.plan, *scope)) {
            put(&mut head, encoded.limits_hash, NUMBER);
            descriptors.extend_from_slice(&encoded.descriptor);
        }
        // The script reads a hash for each scope.
        head.resize(head.capacity().max(head.len()), 0);
        let mut args = Vec::with_capacity(3);
        args.extend([head, descriptors]);
        if !is_plain(&ask) || run == Run::Dry {
            let mut more = Vec::with_capacity(32);
            let (dry, ledger) = (u64::from(run == Run::Dry), u64::from(self.asks_the_ledger(&ask)));
            for number in [ask.cost_micros, dry, self.max_reservations as u64, ledger] {
                put_double(&mut more, number);
            }
            args.push(more);
        }
        let answer = self.eval(&SCRIPTS.acquire, &keys, &args).await?;
        reply::read(&answer, ask.plan, present, ask.requests)
    }

    /// Decides one request, and repeats it once if the answer is lost and the request has an id.
    /// The id makes the repetition harmless.
    pub(super) async fn decide_twice(
        &self,
        ask: Ask<'_>,
        present: &[Scope],
    ) -> Result<Step<Comparison>, Error> {
        match self.decide(ask, present, Run::Charge).await {
            Err(Error::Interrupted { .. }) if ask.reservation.is_some() => {
                self.decide(ask, present, Run::Charge).await
            }
            answer => answer,
        }
    }

    /// Runs a script that returns bytes.
    pub(super) async fn eval(
        &self,
        script: &Script,
        keys: &[String],
        args: &[Vec<u8>],
    ) -> Result<bytes::Bytes, Error> {
        match self.call(script, keys, args).await? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(malformed_reply()),
        }
    }

    /// Runs a script.
    pub(super) async fn call(
        &self,
        script: &Script,
        keys: &[String],
        args: &[Vec<u8>],
    ) -> Result<Value, Error> {
        self.redis.eval(script, keys, args).await.map_err(|error| limit_error(&error))
    }
}

/// Returns whether the request asks for requests and nothing else.
pub(super) fn is_plain(ask: &Ask<'_>) -> bool {
    ask.cost_micros == 0 && ask.reservation.is_none()
}

/// Converts an error of the connection.
pub(super) fn limit_error(error: &RedisError) -> Error {
    let reason = error.to_string();
    if error.is_outcome_unknown() { Error::Interrupted { reason } } else { Error::Unavailable { reason } }
}

/// Returns whole milliseconds, rounded up, at least 1.
pub(super) fn millis(duration: Duration) -> u64 {
    (duration.as_micros().div_ceil(1000) as u64).max(1)
}
