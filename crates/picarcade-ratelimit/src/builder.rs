//! The builder of a limiter, which rejects invalid settings by name.

use std::sync::Arc;
use std::time::Duration;

use crate::inner::Backend;
use crate::store::{Fallback, Leased, MAX_SHARDS, Split};
use crate::{ConfigError, ExpenseLedger, Leases, Limit, Limiter, MemoryStore, Plan, Shards, Store};

/// Builds a [`Limiter`].
#[derive(Debug, Clone)]
#[must_use]
pub struct LimiterBuilder {
    limits: Vec<Limit>,
    store: Option<Arc<dyn Store>>,
    max_subjects: usize,
    max_reservations: usize,
    reservation_ttl: Duration,
    instances: u32,
    leases: Option<Leases>,
    shards: Option<Shards>,
    ledger: Option<Arc<dyn ExpenseLedger>>,
}

impl Default for LimiterBuilder {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            store: None,
            max_subjects: 65_536,
            max_reservations: 65_536,
            reservation_ttl: Duration::from_secs(900),
            instances: 1,
            leases: None,
            shards: None,
            ledger: None,
        }
    }
}

impl LimiterBuilder {
    /// Adds a limit.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Adds limits.
    pub fn limits(mut self, limits: impl IntoIterator<Item = Limit>) -> Self {
        self.limits.extend(limits);
        self
    }

    /// Sets the store of the counts. Without one they are kept in this process. While the store is
    /// unavailable, this instance decides requests by its share and rejects dollars.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the ledger in which the memory store looks up what a subject spent earlier: see
    /// [`MemoryStore::ledger`]. An external store has its own ledger.
    pub fn ledger(mut self, ledger: Arc<dyn ExpenseLedger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Distributes the counts over a cluster, in place of [`LimiterBuilder::store`]. Users are
    /// counted in shards. Every shared limit on requests is leased, with the settings of
    /// [`LimiterBuilder::leases`] or the defaults.
    pub fn shards(mut self, shards: Shards) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Sets which request limits are leased from the store in chunks. Without a store, none is.
    pub fn leases(mut self, leases: Leases) -> Self {
        self.leases = Some(leases);
        self
    }

    /// Sets the number of instances that share the limits while the store is unavailable: 1 or
    /// more, default 1.
    pub fn expected_instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// Sets how many subjects the memory store keeps in each scope: 1 to 2^31, default 65,536. At
    /// the bound, subjects that were seen once are forgotten first.
    pub fn max_subjects(mut self, subjects: usize) -> Self {
        self.max_subjects = subjects;
        self
    }

    /// Sets how many reservations the memory store keeps, open and concluded: 1 or more, default
    /// 65,536. If all of them are open, a request for dollars fails with
    /// [`Error::TooManyReservations`](crate::Error::TooManyReservations).
    pub fn max_reservations(mut self, reservations: usize) -> Self {
        self.max_reservations = reservations;
        self
    }

    /// Sets how long a reservation can be settled before its estimate becomes final: 1 ms to 30
    /// days, default 15 minutes.
    pub fn reservation_ttl(mut self, ttl: Duration) -> Self {
        self.reservation_ttl = ttl;
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    /// [`ConfigError`] with the name of the limit or the setting that is invalid.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        let wrong = |field, reason| Err(ConfigError::Setting { field, reason });
        if self.max_subjects == 0 || self.max_subjects > 1 << 31 {
            return wrong("max_subjects", "is not from 1 to 2^31");
        }
        if self.max_reservations == 0 {
            return wrong("max_reservations", "is zero");
        }
        if self.reservation_ttl < Duration::from_millis(1)
            || self.reservation_ttl > Duration::from_secs(2_592_000)
        {
            return wrong("reservation_ttl", "is not from 1 ms to 30 days");
        }
        if self.instances == 0 {
            return wrong("expected_instances", "is zero");
        }
        let plan = Plan::new(self.limits)?;
        let (lender, store, leases) = match (self.shards, self.store) {
            (Some(_), Some(_)) => return wrong("shards", "and a store cannot both be given"),
            (Some(shards), None) => {
                if shards.users.is_empty() || shards.users.len() > MAX_SHARDS {
                    return wrong("shards", "are not from 1 to 255");
                }
                let mut leases = self.leases.unwrap_or_else(|| Leases::of::<String>([]));
                leases.names.extend(Split::leased(&plan));
                let lender = Arc::clone(&shards.shared);
                (lender, Arc::new(Split::new(shards, &plan)) as Arc<dyn Store>, Some(leases))
            }
            (None, Some(store)) => (Arc::clone(&store), store, self.leases),
            (None, None) => {
                let mut memory = MemoryStore::new(self.max_subjects, self.max_reservations);
                if let Some(ledger) = self.ledger {
                    memory = memory.ledger(ledger);
                }
                let backend = Backend::Memory(Box::new(memory));
                return Ok(Limiter::new(plan, backend, self.reservation_ttl));
            }
        };
        let store = match leases {
            Some(leases) => {
                leases.validate(&plan)?;
                let (stores, subjects) = ((lender, store), self.max_subjects);
                Arc::new(Leased::new(stores, &plan, &leases, self.instances, subjects)) as Arc<dyn Store>
            }
            None => store,
        };
        let store = Fallback::new(store, &plan, self.instances, self.max_subjects);
        Ok(Limiter::new(plan, Backend::External(Box::new(store)), self.reservation_ttl))
    }
}
