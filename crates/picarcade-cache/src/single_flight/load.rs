//! The load of one key, from the second level or by its loader, as a task of its own.
//!
//! It is a task because its callers may leave: a disconnect or a `select!` ends them, not it, and what was paid for is
//! kept. Only its first step, reading the second level, is made by the caller that leads, because it costs nothing to
//! repeat and a task of its own would lengthen every hit there. The steps: read the second level; take the key's lease so that the fleet loads it once; wait for a place among the
//! running loaders; load; store in memory under the flight's lock; let the callers go; write the second level; give the
//! lease back. Whatever ends it early (a panic, the runtime) releases those who wait.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    Key, Loaded, Options, Source,
    clock::nanos,
    entry::{Entry, Freshness},
    inner::{Inner, Keeping},
    level2::lease::Lease,
    level2::read::Found,
    level2::second_level::{SecondLevel, Seen},
    single_flight::completion::Landing,
    single_flight::flight::{Flight, Outcome, Place},
};

/// Why a flight takes off.
pub(crate) enum Purpose<V> {
    /// The key is missing, or stale with this value.
    Load(Option<Entry<V>>),
    /// This value may have been invalidated: the second level knows.
    Check(Entry<V>),
    /// The value is fresh, and to be replaced before its time is over.
    Refresh(Entry<V>),
    /// Only the second level is to be read.
    Read,
    /// The cache is not to be read.
    Bypass,
}

/// The load of one key under way.
pub(crate) struct Load<V> {
    landing: Landing<V>,
    options: Options,
    born: u64,
    /// When the load began: what it has seen of the second level is not older.
    begun: Instant,
    purpose: Purpose<V>,
    /// What the second level said, once it was asked.
    seen: Option<Seen>,
}

/// How the wait for the lease ended.
enum Claim<'a, V> {
    /// Load, with or without the lease.
    Load(Option<Lease<'a>>, Seen),
    /// Another instance has loaded it.
    Found(Entry<V>),
    /// Another instance is refreshing it.
    Leave,
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Load<V> {
    /// The load that a flight is for.
    pub(crate) fn new(
        inner: &Arc<Inner<V>>,
        key: Key,
        flight: Arc<Flight<V>>,
        place: Place,
        options: Options,
        purpose: Purpose<V>,
    ) -> Self {
        let born = inner.invalidations.count();
        let landing = Landing::new(inner, key, flight, place, &options);
        Self { landing, options, born, begun: Instant::now(), purpose, seen: None }
    }

    /// Asks the second level. Returns the outcome when that ended the flight.
    ///
    /// May be dropped and called again, or dropped with the load: another caller then takes the lead.
    pub(crate) async fn read(&mut self) -> Option<Outcome<V>> {
        let inner = Arc::clone(&self.landing.inner);
        let second = inner.second.as_ref().filter(|_| self.seen.is_none())?;
        let (found, seen) = inner.fetch(second, &self.landing.key, &self.options.tags, self.born).await;
        let is_known = seen.is_known();
        self.seen = Some(seen);
        if let Purpose::Check(entry) = &self.purpose {
            let entry = entry.clone();
            if !is_known && entry.stamps.assess(inner.clock.now()) == Freshness::Fresh {
                // Nobody can tell. Memory goes on without the second level.
                let outcome = Outcome::Found(entry, Source::L1);
                self.landing.land(outcome.clone());
                return Some(outcome);
            }
            // What the second level does not confirm is not even good as a stale value.
            self.purpose = Purpose::Load((!is_known).then_some(entry));
        }
        match found {
            Found::Fresh(entry) if self.accepts(&entry) => {
                self.found(&entry);
                Some(Outcome::Found(entry, Source::L2))
            }
            Found::Stale(entry) | Found::Fresh(entry) => {
                self.keep_newer(entry);
                None
            }
            Found::Nothing => None,
        }
    }

    /// Ends a flight that was only to read, and found nothing.
    pub(crate) fn end(self) {
        self.landing.land(Outcome::Absent);
    }

    /// Goes on as a task of its own, which nothing that its callers do can end.
    pub(crate) fn spawn<F, Fut, E>(mut self, loader: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        self.landing.becomes_a_task();
        tokio::spawn(self.run(loader));
    }

    async fn run<F, Fut, E>(mut self, loader: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = Arc::clone(&self.landing.inner);
        let limit = Instant::now() + inner.policy.load_limit;
        if self.read().await.is_some() {
            return;
        }
        let mut lease = None;
        // Other instances would wait in vain for a value that is not written.
        let wanted = inner.policy.lease.filter(|_| !self.options.no_lease && !self.options.no_write);
        if let (Some(second), Some(seen), Some(ttl)) = (&inner.second, self.seen.clone(), wanted)
            && !matches!(self.purpose, Purpose::Bypass)
        {
            match self.claim(second, seen, ttl).await {
                Claim::Found(entry) => return self.found(&entry),
                Claim::Leave => return self.landing.land(self.as_it_was()),
                Claim::Load(held, latest) => (lease, self.seen) = (held, Some(latest)),
            }
        }

        let outcome = {
            let renewing = async {
                if let Some(lease) = &lease {
                    lease.keep(&inner.counters, inner.policy.lease_wait).await;
                }
                std::future::pending::<Infallible>().await
            };
            let loading = async {
                match timeout_at(limit, inner.loads.acquire()).await {
                    Ok(Ok(_permit)) => self.load(loader, limit).await,
                    _ => Err(Outcome::Overloaded),
                }
            };
            tokio::select! {
                outcome = loading => outcome,
                never = renewing => match never {},
            }
        };
        match outcome {
            Ok((result, took)) => self.store(result, took).await,
            Err(outcome) => self.fail(outcome),
        }
        if let Some(lease) = lease {
            lease.give_back(&inner.counters).await;
        }
    }

    /// Runs the loader, and tells how it ended.
    async fn load<F, Fut, E>(&self, loader: F, limit: Instant) -> Result<(Loaded<V>, Duration), Outcome<V>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let counters = &self.landing.inner.counters;
        counters.loads.one();
        let began = Instant::now();
        // The closure itself may panic, not only its future.
        let load = AssertUnwindSafe(async move { loader().await }).catch_unwind();
        let ended = timeout_at(limit, load).await;
        let took = began.elapsed();
        counters.load_nanos.add(nanos(took));
        let outcome = match ended {
            Ok(Ok(Ok(result))) => return Ok((result, took)),
            Ok(Ok(Err(error))) => Outcome::Failed(Arc::new(error)),
            Ok(Err(_panic)) => {
                counters.load_panics.one();
                Outcome::Panicked
            }
            Err(_) => {
                counters.timeouts.one();
                Outcome::TimedOut
            }
        };
        counters.load_errors.one();
        Err(outcome)
    }

    /// Takes the key's lease, or waits for the value of whoever has it.
    async fn claim<'a>(&mut self, second: &'a SecondLevel, mut seen: Seen, ttl: Duration) -> Claim<'a, V> {
        let inner = Arc::clone(&self.landing.inner);
        let key = self.landing.key;
        let give_up = Instant::now() + inner.policy.patience();
        let mut pause = Duration::from_millis(5);
        loop {
            match Lease::take(second, key, ttl).await {
                Ok(Some(lease)) => {
                    // The holder before us may have stored its value between our reading and our claim.
                    let (found, latest) = inner.fetch(second, &key, &self.options.tags, self.born).await;
                    if let Found::Fresh(entry) = found
                        && self.accepts(&entry)
                    {
                        lease.give_back(&inner.counters).await;
                        return Claim::Found(entry);
                    }
                    return Claim::Load(Some(lease), latest);
                }
                Ok(None) if matches!(self.purpose, Purpose::Refresh(_)) => return Claim::Leave,
                Ok(None) if Instant::now() < give_up => {}
                // Waited long enough: load without the lease, which only saves money.
                Ok(None) => return Claim::Load(None, seen),
                // The second level is away, or allows no leases. To wait for another instance would
                // be in vain.
                Err(_) => {
                    inner.counters.remote_errors.one();
                    return Claim::Load(None, seen);
                }
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(Duration::from_millis(100));
            let (found, latest) = inner.fetch(second, &key, &self.options.tags, self.born).await;
            seen = latest;
            match found {
                Found::Fresh(entry) if self.accepts(&entry) => return Claim::Found(entry),
                Found::Stale(entry) | Found::Fresh(entry) => self.keep_newer(entry),
                Found::Nothing => {}
            }
        }
    }

    /// Whether an entry of the second level makes a load unnecessary.
    fn accepts(&self, entry: &Entry<V>) -> bool {
        match &self.purpose {
            Purpose::Load(_) | Purpose::Check(_) | Purpose::Read => true,
            // The same load that is to be refreshed does not count; a later one does. Stamps pass through milliseconds,
            // and are read from clocks that tick.
            Purpose::Refresh(current) => {
                entry.stamps.stored > current.stamps.stored.saturating_add(30_000_000)
            }
            Purpose::Bypass => false,
        }
    }

    fn keep_newer(&mut self, entry: Entry<V>) {
        if let Purpose::Load(fallback) = &mut self.purpose
            && fallback.as_ref().is_none_or(|kept| kept.stamps.stored < entry.stamps.stored)
        {
            *fallback = Some(entry);
        }
    }

    fn found(&self, entry: &Entry<V>) {
        self.landing.land_with(entry, Source::L2);
    }

    /// The outcome when nothing changed.
    fn as_it_was(&self) -> Outcome<V> {
        match &self.purpose {
            Purpose::Refresh(entry) => Outcome::Found(entry.clone(), Source::L1),
            Purpose::Load(_) | Purpose::Check(_) | Purpose::Read | Purpose::Bypass => Outcome::Absent,
        }
    }

    /// The load failed: a stale value goes on, and none is tried for a while; else all who wait get the error.
    fn fail(&self, outcome: Outcome<V>) {
        let inner = &self.landing.inner;
        let now = inner.clock.now();
        let standby = match &self.purpose {
            Purpose::Load(Some(entry)) => Some((entry, Source::Stale)),
            Purpose::Refresh(entry) => Some((entry, Source::L1)),
            Purpose::Load(None) | Purpose::Check(_) | Purpose::Read | Purpose::Bypass => None,
        }
        .filter(|(entry, _)| now < entry.stamps.stale_until());
        let Some((entry, source)) = standby else { return self.landing.land(outcome) };
        // From now on, not from the old expiry: that may be long past, and the source would be hit at once.
        let held = Entry { stamps: entry.stamps.held(now, nanos(inner.policy.hold_off)), ..entry.clone() };
        self.landing.land_with(&held, source);
    }

    /// The load succeeded.
    async fn store(&self, loaded: Loaded<V>, took: Duration) {
        let Landing { inner, key, .. } = &self.landing;
        let Loaded { value, ttl, mut tags, store, negative } = loaded;
        let negative = negative || inner.negative_when.is_some_and(|test| test(&value));
        tags.extend(&self.options.tags);
        let wanted = store && !self.options.no_write;
        let json = inner.second.as_ref().filter(|_| wanted).map(|_| serde_json::to_vec(&value));
        let not_json = matches!(json, Some(Err(_)));
        let json = json.and_then(Result::ok);
        let length = json.as_ref().map(Vec::len);
        let keeping = Keeping { ttl, negative, tags, took, born: self.born };
        let (entry, weight) = inner.entry(value, keeping, length);
        let too_large = weight.max(length.unwrap_or(0)) > inner.policy.max_entry_bytes;
        if wanted && (not_json || inner.is_unserializable(weight)) {
            inner.not_serializable();
        } else if wanted && too_large {
            inner.counters.too_large.one();
        }
        if !wanted || too_large {
            return self.landing.land(Outcome::Found(entry, Source::Loaded));
        }
        let stored = self.landing.land_with(&entry, Source::Loaded);
        if stored && self.begun.elapsed() > inner.policy.write_limit() {
            return inner.counters.late_writes.one();
        }
        if let (true, Some(second), Some(json), Some(seen)) = (stored, &inner.second, json, &self.seen) {
            inner.write_back(second, key, &entry, &json, seen).await;
        }
    }
}
