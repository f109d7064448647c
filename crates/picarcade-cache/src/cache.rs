//! The cache as its users meet it: look into memory, else take a seat on the flight that loads the key.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    Builder, Clock, Key, LoadError, Loaded, Lookup, Options, Reach, Source, Statistics,
    builder::Weigher,
    clock::{Nanos, nanos},
    entry::{Entry, Freshness},
    flight::{Flight, Flights, Outcome, Seat},
    load::{Load, Purpose},
    memory::Memory,
    policy::Policy,
    second_level::SecondLevel,
    statistics::Counters,
    tags::{Invalidations, Standing, Tag},
};

/// A typed cache of two levels, asked with a key and a loader. Clones share everything.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use picarcade_cache::{Cache, Key, Source};
/// let cache = Cache::<String>::builder("greeting").build()?;
/// let key = Key::builder("greeting", 1).part("en").finish();
/// let load = || async { Ok::<_, std::io::Error>("hello".to_string()) };
/// assert_eq!(cache.get_or_load(&key, load).await?.source, Source::Loaded);
/// assert_eq!(cache.get_or_load(&key, load).await?.source, Source::L1);
/// # Ok(()) }
/// ```
pub struct Cache<V> {
    pub(crate) inner: Arc<Inner<V>>,
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.inner.name)
            .field("entries", &self.inner.memory.len())
            .finish_non_exhaustive()
    }
}

/// What all clones share.
pub(crate) struct Inner<V> {
    pub(crate) name: Arc<str>,
    pub(crate) schema: u64,
    pub(crate) policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) memory: Memory<V>,
    pub(crate) flights: Flights<V>,
    pub(crate) invalidations: Invalidations,
    pub(crate) counters: Counters,
    pub(crate) second: Option<SecondLevel>,
    pub(crate) weigher: Option<Weigher<V>>,
    pub(crate) negative_when: Option<fn(&V) -> bool>,
    /// Loaders that run.
    pub(crate) loads: Semaphore,
}

/// What memory says of a key.
enum Look<V> {
    /// Answer with this, as of the time that was looked at.
    Hit(Entry<V>, Source, Nanos),
    /// Answer with this, and load anew behind.
    Ahead(Entry<V>),
    /// Load, with this at hand.
    Stale(Entry<V>),
    /// Ask the second level whether this is still good.
    Suspect(Entry<V>),
    Miss,
}

/// What a caller has at hand while a load runs.
enum At<V> {
    /// A value that may be answered if the load fails or takes long.
    Hand(Entry<V>),
    /// A value that may have been invalidated: not to be answered unless the second level confirms it.
    Doubt(Entry<V>),
    Nothing,
}

impl<V> Cache<V> {
    /// Begins a cache. The name is its metric label and its space in the second level: 1 to 64 characters of
    /// `a-z`, `0-9`, `_`, `-`. Caches of one name on one second level share their values.
    pub fn builder(name: impl Into<String>) -> Builder<V> {
        Builder::new(name)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
    pub(crate) fn start(inner: Inner<V>) -> Self {
        let inner = Arc::new(inner);
        if inner.second.is_some() {
            crate::fleet::start(&inner);
        }
        Self { inner }
    }

    /// The value of a key: from memory, else from the second level, else from `loader`, of which one runs per
    /// missing key however many callers ask.
    ///
    /// The loader runs as a task of its own: when this call is dropped, the load goes on and its result is kept.
    /// A hit in memory allocates nothing.
    ///
    /// # Errors
    /// [`LoadError`], when there is no value, not even a stale one.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when a load is needed.
    pub async fn get_or_load<F, Fut, E>(&self, key: &Key, loader: F) -> Result<Lookup<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        if self.inner.policy.beta <= 0.0
            && let Look::Hit(entry, source, now) = self.inner.look(key)
        {
            return Ok(self.inner.hit(key, entry, source, now));
        }
        let loader = || async move { loader().await.map(Loaded::new) };
        self.get_or_load_with(key, Options::default(), loader).await
    }

    /// As [`Cache::get_or_load`], with a say in how the cache is used and how the value is kept.
    ///
    /// # Errors
    /// [`LoadError`], when there is no value, not even a stale one.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when a load is needed.
    pub async fn get_or_load_with<F, Fut, E>(
        &self,
        key: &Key,
        options: Options,
        loader: F,
    ) -> Result<Lookup<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = &self.inner;
        if options.no_read {
            return Box::pin(inner.bypass(key, options, loader)).await;
        }
        let at = match inner.look(key) {
            Look::Hit(entry, source, now) => return Ok(inner.hit(key, entry, source, now)),
            Look::Ahead(entry) => {
                if let Seat::Lead(flight) = inner.flights.board(key) {
                    inner.counters.refreshes.one();
                    let purpose = Purpose::Refresh(entry.clone());
                    Load::new(inner, *key, flight, options, purpose).spawn(loader);
                }
                return Ok(inner.serve(key, &entry, Source::L1, true));
            }
            Look::Stale(entry) => At::Hand(entry),
            Look::Suspect(entry) => At::Doubt(entry),
            Look::Miss => At::Nothing,
        };
        // Boxed: a hit is not to carry the size of everything that a miss may wait for.
        Box::pin(inner.through_flight(key, options, at, loader)).await
    }

    /// The value of a key if either level has it. Never loads.
    pub async fn get(&self, key: &Key) -> Option<Lookup<V>> {
        let inner = &self.inner;
        let (fallback, doubt) = match inner.look(key) {
            Look::Hit(entry, source, now) => return Some(inner.hit(key, entry, source, now)),
            Look::Ahead(entry) => return Some(inner.serve(key, &entry, Source::L1, false)),
            Look::Stale(entry) => (Some(entry), None),
            Look::Suspect(entry) => (None, Some(entry)),
            Look::Miss => (None, None),
        };
        let found = match inner.read(key, doubt).await {
            Some(found) => Some(found),
            None => fallback.map(|entry| (entry, Source::Stale)),
        };
        let Some((entry, source)) = found else {
            inner.counters.misses.one();
            return None;
        };
        Some(inner.serve(key, &entry, source, false))
    }

    /// The fresh value of a key if this process's memory has it. Waits for nothing and allocates nothing.
    #[inline]
    pub fn peek(&self, key: &Key) -> Option<Lookup<V>> {
        match self.inner.look(key) {
            Look::Hit(entry, Source::L1, now) => Some(self.inner.hit(key, entry, Source::L1, now)),
            Look::Ahead(entry) => Some(self.inner.serve(key, &entry, Source::L1, false)),
            _ => None,
        }
    }

    /// Stores a value in both levels, and makes the other instances forget theirs. A load under way does not
    /// overwrite it.
    pub async fn insert(&self, key: &Key, value: impl Into<Loaded<V>>) -> Reach {
        self.inner.insert(key, value.into()).await
    }

    /// Removes a key from both levels and from every instance. A load under way is not kept.
    pub async fn remove(&self, key: &Key) -> Reach {
        self.inner.remove(key).await
    }

    /// Removes every value with this tag from both levels and from every instance, however many there are, without
    /// searching them.
    pub async fn remove_by_tag(&self, name: &str) -> Reach {
        self.inner.remove_by_tag(Tag::new(name)).await
    }

    /// Removes everything from both levels and from every instance, without searching it.
    pub async fn clear(&self) -> Reach {
        self.inner.clear().await
    }

    /// The counters so far.
    pub fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    pub(crate) fn new(builder: Builder<V>) -> Self {
        let Builder { name, schema_version, policy, remote, weigher, negative_when, clock, .. } = builder;
        let mut schema = blake3::Hasher::new();
        schema.update(name.as_bytes());
        schema.update(&schema_version.to_le_bytes());
        schema.update(std::any::type_name::<V>().as_bytes());
        let schema = Key::from_bytes(*schema.finalize().as_bytes()).short();
        let name: Arc<str> = name.into();
        Self {
            schema,
            memory: Memory::new(&policy),
            flights: Flights::new(policy.max_in_flight.saturating_add(policy.max_queued)),
            invalidations: Invalidations::default(),
            counters: Counters::default(),
            second: remote.map(|remote| SecondLevel::new(remote, Arc::clone(&name))),
            loads: Semaphore::new(policy.max_in_flight),
            weigher,
            negative_when,
            clock,
            policy,
            name,
        }
    }

    /// What memory says of a key.
    #[inline]
    fn look(&self, key: &Key) -> Look<V> {
        let Some(entry) = self.memory.get(key) else { return Look::Miss };
        let now = self.clock.now();
        let tags = entry.tags.as_ref().map(|tags| tags.as_slice());
        match self.invalidations.standing(entry.born, tags) {
            Standing::Good => {
                let Policy { beta, .. } = self.policy;
                match entry.stamps.assess_ahead(now, entry.load_micros, beta, fastrand::f64) {
                    Freshness::Fresh => Look::Hit(entry, Source::L1, now),
                    Freshness::RefreshAhead => Look::Ahead(entry),
                    Freshness::Held => Look::Hit(entry, Source::Stale, now),
                    Freshness::Stale => Look::Stale(entry),
                    Freshness::Dead => self.forget(key, &entry),
                }
            }
            Standing::Suspect => match entry.stamps.assess(now) {
                Freshness::Dead => self.forget(key, &entry),
                Freshness::Held => Look::Hit(entry, Source::Stale, now),
                _ => Look::Suspect(entry),
            },
            Standing::Invalidated => self.forget(key, &entry),
        }
    }

    #[cold]
    fn forget(&self, key: &Key, entry: &Entry<V>) -> Look<V> {
        self.memory.remove_same(key, &entry.value);
        Look::Miss
    }

    /// The answer from memory, counted. Takes the entry and the time as they were looked at: a hit reads the clock
    /// once and counts one reference.
    #[inline]
    fn hit(&self, key: &Key, entry: Entry<V>, source: Source, now: Nanos) -> Lookup<V> {
        self.counters.served(key, source);
        let age = Duration::from_nanos(now.saturating_sub(entry.stamps.stored));
        Lookup { value: entry.value, source, age, refreshing: false }
    }

    /// The answer to a caller, counted.
    fn serve(&self, key: &Key, entry: &Entry<V>, source: Source, refreshing: bool) -> Lookup<V> {
        self.counters.served(key, source);
        let age = self.clock.now().saturating_sub(entry.stamps.stored);
        Lookup { value: Arc::clone(&entry.value), source, age: Duration::from_nanos(age), refreshing }
    }

    /// Reads a key from the second level, or waits for the load of it that is under way.
    async fn read(self: &Arc<Self>, key: &Key, doubt: Option<Entry<V>>) -> Option<(Entry<V>, Source)> {
        self.second.as_ref()?;
        // A read has the second level's deadline; a load that is joined has the hard timeout.
        let deadline = Instant::now() + self.policy.hard_timeout;
        loop {
            let outcome = match self.flights.board(key) {
                Seat::Lead(flight) => {
                    let purpose = doubt.map_or(Purpose::Read, Purpose::Check);
                    let mut load = Load::new(self, *key, flight, Options::default(), purpose);
                    let outcome = load.read().await;
                    load.end();
                    outcome
                }
                Seat::Wait(flight) => match timeout_at(deadline, flight.wait()).await {
                    Ok(Outcome::Abandoned) => continue,
                    outcome => outcome.ok(),
                },
                Seat::Full => None,
            };
            return match outcome {
                Some(Outcome::Found(entry, source)) => Some((entry, source)),
                _ => None,
            };
        }
    }

    /// Leads or joins the load of a key and waits for it, as long as the caller is to wait.
    async fn through_flight<F, Fut, E>(
        self: &Arc<Self>,
        key: &Key,
        options: Options,
        at: At<V>,
        loader: F,
    ) -> Result<Lookup<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let (fallback, mut doubt) = match at {
            At::Hand(entry) => (Some(entry), None),
            At::Doubt(entry) => (None, Some(entry)),
            At::Nothing => (None, None),
        };
        let hard = Instant::now() + self.policy.hard_timeout;
        let wait_until =
            if fallback.is_some() { hard.min(Instant::now() + self.policy.soft_timeout) } else { hard };
        let (mut loader, mut options) = (Some(loader), Some(options));
        loop {
            let (flight, leads) = match self.flights.board(key) {
                Seat::Lead(flight) => {
                    let (Some(loader), Some(options)) = (loader.take(), options.take()) else {
                        return self.without_load(key, fallback, LoadError::Panicked);
                    };
                    if options.no_write {
                        // Nobody who wants a kept value is to wait for one that is not.
                        self.flights.finish(key, &flight, || ());
                    }
                    let purpose = match doubt.take() {
                        Some(entry) => Purpose::Check(entry),
                        None => Purpose::Load(fallback.clone()),
                    };
                    let mut load = Load::new(self, *key, Arc::clone(&flight), options, purpose);
                    if let Ok(Some(Outcome::Found(entry, source))) = timeout_at(wait_until, load.read()).await
                    {
                        return Ok(self.serve(key, &entry, source, false));
                    }
                    load.spawn(loader);
                    (flight, true)
                }
                Seat::Wait(flight) => (flight, false),
                Seat::Full => return self.without_load(key, fallback, LoadError::Overloaded),
            };
            let Some(waiter) = flight.join(self.policy.max_waiters) else {
                return self.without_load(key, fallback, LoadError::Overloaded);
            };
            let Ok(outcome) = timeout_at(wait_until, waiter.wait()).await else {
                if fallback.is_none() {
                    self.counters.timeouts.one();
                }
                return match fallback {
                    Some(entry) => Ok(self.serve(key, &entry, Source::Stale, true)),
                    None => self.without_load(key, None, LoadError::TimedOut),
                };
            };
            let error = match outcome {
                Outcome::Found(entry, source) => {
                    if !leads && source == Source::Loaded {
                        self.counters.coalesced.one();
                    }
                    return Ok(self.serve(key, &entry, source, false));
                }
                // A reader was there first and found nothing, or has left: take the lead.
                Outcome::Absent | Outcome::Abandoned if loader.is_some() => continue,
                Outcome::Failed(error) => match Arc::downcast::<E>(error as Arc<dyn Any + Send + Sync>) {
                    Ok(error) => LoadError::Failed(error),
                    // Another caller's loader has another type of error: its failure cannot be told here, so load.
                    Err(_) if loader.is_some() => continue,
                    Err(_) => LoadError::Panicked,
                },
                Outcome::Panicked | Outcome::Absent | Outcome::Abandoned => LoadError::Panicked,
                Outcome::TimedOut => LoadError::TimedOut,
                Outcome::Overloaded => LoadError::Overloaded,
            };
            return self.without_load(key, fallback, error);
        }
    }

    /// The answer when no load came to an end: stale if there is anything.
    fn without_load<E>(
        &self,
        key: &Key,
        fallback: Option<Entry<V>>,
        error: LoadError<E>,
    ) -> Result<Lookup<V>, LoadError<E>> {
        if matches!(error, LoadError::Overloaded) {
            self.counters.overloaded.one();
        }
        // It may have died while its caller waited.
        let Some(entry) = fallback.filter(|entry| self.clock.now() < entry.stamps.stale_until()) else {
            self.counters.misses.one();
            return Err(error);
        };
        Ok(self.serve(key, &entry, Source::Stale, false))
    }

    /// Loads without reading the cache.
    async fn bypass<F, Fut, E>(
        self: &Arc<Self>,
        key: &Key,
        options: Options,
        loader: F,
    ) -> Result<Lookup<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let flight = if options.no_write { Some(Flight::new()) } else { self.flights.displace(key) };
        let Some(flight) = flight else { return self.without_load(key, None, LoadError::Overloaded) };
        let deadline = Instant::now() + self.policy.hard_timeout;
        Load::new(self, *key, Arc::clone(&flight), options, Purpose::Bypass).spawn(loader);
        let error = match timeout_at(deadline, flight.wait()).await {
            Ok(Outcome::Found(entry, _)) => return Ok(self.serve(key, &entry, Source::Bypass, false)),
            Ok(Outcome::Failed(error)) => match Arc::downcast::<E>(error) {
                Ok(error) => LoadError::Failed(error),
                Err(_) => LoadError::Panicked,
            },
            Ok(Outcome::Panicked | Outcome::Absent | Outcome::Abandoned) => LoadError::Panicked,
            Ok(Outcome::Overloaded) => LoadError::Overloaded,
            Ok(Outcome::TimedOut) => LoadError::TimedOut,
            Err(_) => {
                self.counters.timeouts.one();
                LoadError::TimedOut
            }
        };
        self.without_load(key, None, error)
    }

    /// Bytes that a value is to count as; `json` is its length as JSON when that is known already.
    pub(crate) fn weigh(&self, value: &V, json: Option<usize>) -> usize {
        match (&self.weigher, json) {
            (Some(weigher), _) => weigher(value),
            (None, Some(length)) => length,
            (None, None) => json_length(value),
        }
    }

    pub(crate) fn hold_off(&self) -> u64 {
        nanos(self.policy.hold_off)
    }

    fn statistics(&self) -> Statistics {
        let c = &self.counters;
        let (l1, l2, stale, misses) = (c.hits_l1(), c.hits_l2.value(), c.stale.value(), c.misses.value());
        let hits = l1 + l2 + stale;
        let asked = hits + misses + c.bypasses.value();
        Statistics {
            name: self.name.to_string(),
            entries: self.memory.len() as u64,
            bytes: self.memory.bytes(),
            max_bytes: self.policy.max_bytes,
            hits_l1: l1,
            hits_l2: l2,
            stale,
            misses,
            bypasses: c.bypasses.value(),
            hit_rate: if asked == 0 { 0.0 } else { hits as f64 / asked as f64 },
            loads: c.loads.value(),
            coalesced: c.coalesced.value(),
            refreshes: c.refreshes.value(),
            in_flight: self.flights.len() as u64,
            load_seconds: c.load_nanos.value() as f64 / 1e9,
            load_errors: c.load_errors.value(),
            load_panics: c.load_panics.value(),
            timeouts: c.timeouts.value(),
            overloaded: c.overloaded.value(),
            evictions: self.memory.evictions(),
            too_large: c.too_large.value(),
            late_writes: c.late_writes.value(),
            invalidations: c.invalidations.value(),
            suspicions: c.suspicions.value(),
            remote_errors: c.remote_errors.value(),
            undecodable: c.undecodable.value(),
            writes_dropped: c.writes_dropped.value(),
            saved_micros: (hits + c.coalesced.value()).saturating_mul(self.policy.cost_per_load_micros),
        }
    }
}

/// How long a value is as JSON, without writing it anywhere. What cannot be serialised is too long for any bound.
fn json_length<V: Serialize>(value: &V) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
