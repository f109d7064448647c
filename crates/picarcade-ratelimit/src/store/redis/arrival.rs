//! Dollars after a change of the server: which connection was reported to it, and the comparison of
//! its counters with the ledger.
//!
//! A restarted or promoted server has another run id, which the script compares. A server that
//! traffic returns to is the same process as before and looks complete: only its clients know that
//! they spent elsewhere. So each client reports every change of its connection before it reserves a
//! dollar on it; see `lua/epoch.lua`.

use std::sync::atomic::{AtomicU64, Ordering};

use picarcade_redis::Role;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::contract::Step;
use super::client::{Client, millis};
use super::encoding::Encoded;
use super::reply::Comparison;
use super::scripts::SCRIPTS;
use crate::ledger::{LOOKUP_TIMEOUT, spent};
use crate::{Ask, Error, Scope, StoreDecision};

/// How many requests of one store read the ledger at the same time. The others wait, and usually
/// find the comparison done.
const MAX_LOOKUPS: usize = 4;
/// How often one request is compared. More than one comparison is needed only if the server changes
/// again meanwhile.
const MAX_ROUNDS: usize = 3;

/// The number of no connection.
const NONE: u64 = u64::MAX;

/// What a store has reported to its server.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The number of the connection that was reported last.
    reported: AtomicU64,
    /// The endpoint of that connection.
    role: Mutex<Option<Role>>,
    lookups: Semaphore,
}

impl Default for Arrival {
    fn default() -> Self {
        Self { reported: AtomicU64::new(NONE), role: Mutex::default(), lookups: Semaphore::new(MAX_LOOKUPS) }
    }
}

impl Arrival {
    /// Decides a request that reserves dollars and may depend on the ledger.
    pub(super) async fn decide(
        &self,
        client: &Client,
        ask: Ask<'_>,
        present: &[Scope],
    ) -> Result<StoreDecision, Error> {
        let connection = self.report(client).await?;
        let until = Instant::now() + LOOKUP_TIMEOUT;
        let mut permit: Option<SemaphorePermit<'_>> = None;
        let mut rounds = 0;
        let decision = loop {
            let Comparison { scopes, stamp } = match client.decide_twice(ask, present).await? {
                Step::Decided(decision) => break decision,
                Step::Compare(comparison) => comparison,
            };
            if permit.is_none() {
                permit = self.lookups.try_acquire().ok();
                if permit.is_none() {
                    let waited = timeout_at(until, self.lookups.acquire()).await;
                    permit = Some(waited.ok().and_then(Result::ok).ok_or(Error::Rebuilding)?);
                    // The requests before this one may have compared the same scopes.
                    continue;
                }
            }
            if rounds == MAX_ROUNDS {
                return Err(Error::Rebuilding);
            }
            rounds += 1;
            for scope in scopes {
                let compared = timeout_at(until, client.compare(ask, scope, stamp)).await;
                compared.unwrap_or(Err(Error::Rebuilding))?;
            }
        };
        // If traffic moved before the new connection was reported, the decision may be by outdated
        // counters.
        if client.redis.generation() != connection {
            return Err(Error::Interrupted { reason: "traffic moved to another connection".to_owned() });
        }
        Ok(decision)
    }

    /// Reports a new connection to its server, once, and returns the number of the connection.
    async fn report(&self, client: &Client) -> Result<u64, Error> {
        let Self { reported, role, .. } = self;
        let connection = client.redis.generation();
        if reported.load(Ordering::Acquire) == connection {
            return Ok(connection);
        }
        let unavailable = |reason: &str| Error::Unavailable { reason: reason.to_owned() };
        let mut role = timeout(client.timeout(), role.lock())
            .await
            .map_err(|_| unavailable("a new connection is not reported yet"))?;
        let status = client.redis.status();
        if reported.load(Ordering::Acquire) == status.generation {
            return Ok(status.generation);
        }
        // A new process may have spent at the other endpoint before it was restarted.
        let elsewhere = role.map_or(client.redis.has_backup(), |last| last != status.active);
        let args = [client.time().to_string(), if elsewhere { "2" } else { "1" }.to_owned()];
        client.call(&SCRIPTS.arrive, &[client.keys.epoch()], &args.map(String::into_bytes)).await?;
        if client.redis.generation() != status.generation {
            return Err(unavailable("traffic moved to another connection"));
        }
        *role = Some(status.active);
        reported.store(status.generation, Ordering::Release);
        Ok(status.generation)
    }
}

impl Client {
    /// Raises the counters of one scope to what the ledger knows.
    async fn compare(&self, ask: Ask<'_>, scope: Scope, stamp: u64) -> Result<(), Error> {
        let Some(ledger) = &self.ledger else { return Err(Error::Rebuilding) };
        let Some(encoded) = Encoded::of(ask.plan, scope) else { return Err(Error::Rebuilding) };
        let subject = ask.subjects.of(scope).unwrap_or_default();
        let spent = spent(&**ledger, scope, subject, ask.plan.group(scope)).await?;
        let mut args = vec![
            self.time().to_string().into_bytes(),
            millis(ask.ttl).to_string().into_bytes(),
            encoded.limits_hash.to_string().into_bytes(),
            encoded.descriptor.to_vec(),
            stamp.to_string().into_bytes(),
        ];
        args.extend(spent.into_iter().map(|micros| micros.to_string().into_bytes()));
        let keys = [self.keys.deadlines(), self.keys.state(ask.plan, scope, ask.subjects), self.keys.epoch()];
        self.call(&SCRIPTS.seed, &keys, &args).await.map(drop)
    }
}
