//! What every request of a store to Redis needs.

use std::sync::Arc;
use std::time::Duration;

use picarcade_redis::{Error as RedisError, RedisHandle, Script, Value};

use super::bytes::malformed_reply;
use super::keys::Keys;
use crate::{Ask, Clock, Error, ExpenseLedger};

/// The connection, the keys and the settings of a store.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) redis: RedisHandle,
    pub(super) keys: Keys,
    pub(super) clock: Option<Clock>,
    pub(super) ledger: Option<Arc<dyn ExpenseLedger>>,
    pub(super) max_reservations: usize,
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

/// Converts an error of the connection.
pub(super) fn limit_error(error: &RedisError) -> Error {
    let reason = error.to_string();
    if error.is_outcome_unknown() { Error::Interrupted { reason } } else { Error::Unavailable { reason } }
}

/// Returns whole milliseconds, rounded up, at least 1.
pub(super) fn millis(duration: Duration) -> u64 {
    (duration.as_micros().div_ceil(1000) as u64).max(1)
}
