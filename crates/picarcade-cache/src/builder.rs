//! The builder of a cache: every setting, its meaning and its default.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use tokio::sync::Semaphore;

use crate::{
    Cache, Clock, ConfigError, Key, Remote,
    fleet::listener,
    inner::{Inner, Weigher},
    level1::invalidations::Invalidations,
    level1::memory::Memory,
    level2::second_level::SecondLevel,
    policy::Policy,
    single_flight::table::SingleFlight,
    statistics::Counters,
};

impl<V> Cache<V> {
    /// Starts a builder. The name is the metric label of the cache and its space in the second
    /// level: 1 to 64 characters of `a-z`, `0-9`, `_`, `-`. Caches with the same name on the same
    /// second level share their values.
    pub fn builder(name: impl Into<String>) -> Builder<V> {
        Builder::new(name)
    }
}

/// A builder of a [`Cache`], from [`Cache::builder`]. Every setting is optional.
#[must_use]
pub struct Builder<V> {
    name: String,
    schema_version: u32,
    policy: Policy,
    remote: Option<Arc<dyn Remote>>,
    weigher: Option<Weigher<V>>,
    negative_when: Option<fn(&V) -> bool>,
    cost_micros: Option<fn(&V) -> u64>,
    clock: Clock,
    value: PhantomData<fn() -> V>,
}

impl<V> fmt::Debug for Builder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

impl<V> Builder<V> {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            schema_version: 1,
            policy: Policy::default(),
            remote: None,
            weigher: None,
            negative_when: None,
            cost_micros: None,
            clock: Clock::system(),
            value: PhantomData,
        }
    }

    /// Sets the version of the serialized form of `V`. Default 1.
    ///
    /// Every stored value carries a fingerprint of the name of the cache and this version. A value
    /// with another fingerprint is a miss. Change the version when old values must not be read as
    /// new ones: the name and the fields of the Rust type do not affect the fingerprint.
    pub fn schema_version(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    /// Sets how long a value is fresh. Default 1 h, at most 30 days.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.policy.ttl = ttl;
        self
    }

    /// Sets how long a negative value is fresh. Default 1 min.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.policy.negative_ttl = ttl;
        self
    }

    /// Sets the test for negative values, for example `Option::is_none`. A loader may also mark a
    /// value with [`Loaded::negative`](crate::Loaded::negative).
    pub fn negative_when(mut self, test: fn(&V) -> bool) -> Self {
        self.negative_when = Some(test);
        self
    }

    /// Sets how long an expired value may replace a load that fails or takes long. Default 1 h;
    /// zero disables stale answers.
    pub fn stale_for(mut self, stale_for: Duration) -> Self {
        self.policy.stale_for = stale_for;
        self
    }

    /// Sets how long no loader runs after one failed, if there is a stale value. Default 10 s.
    pub fn hold_off(mut self, hold_off: Duration) -> Self {
        self.policy.hold_off = hold_off;
        self
    }

    /// Sets the share by which times to live vary, 0 to 0.5. Default 0.05.
    pub fn jitter(mut self, share: f64) -> Self {
        self.policy.jitter = share;
        self
    }

    /// Sets the limit of the first level in bytes, overhead included. Default 64 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.policy.max_bytes = bytes;
        self
    }

    /// Sets the size of the largest value that is stored, in bytes: both the weight and the length
    /// as JSON count. Larger values are returned and counted. Default 1 MiB.
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.policy.max_entry_bytes = bytes;
        self
    }

    /// Sets how long a caller waits for a load if there is a stale value. Default 200 ms.
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.policy.soft_timeout = timeout;
        self
    }

    /// Sets how long a caller waits at most, for everything together. Default 30 s.
    pub fn hard_timeout(mut self, timeout: Duration) -> Self {
        self.policy.hard_timeout = timeout;
        self.policy.load_limit = self.policy.load_limit.max(timeout.saturating_mul(2));
        self
    }

    /// Sets how long a load may run, even if no caller waits for it. At least the hard timeout;
    /// default twice that.
    pub fn load_limit(mut self, limit: Duration) -> Self {
        self.policy.load_limit = limit;
        self
    }

    /// Sets the number of loaders that run at the same time. Further loaders queue. Default 256.
    pub fn max_in_flight(mut self, loads: usize) -> Self {
        self.policy.max_in_flight = loads;
        self
    }

    /// Sets the number of keys that may queue for a loader. At the limit, a lookup returns a stale
    /// value or [`LoadError::Overloaded`](crate::LoadError::Overloaded). Default 4096.
    pub fn max_queued(mut self, keys: usize) -> Self {
        self.policy.max_queued = keys;
        self
    }

    /// Sets the number of callers that may wait for one load. At the limit, a lookup returns a
    /// stale value or [`LoadError::Overloaded`](crate::LoadError::Overloaded). Default 10 000.
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.policy.max_waiters = waiters;
        self
    }

    /// Refreshes values before they expire, by XFetch with this beta: 1 is usual, a larger value is
    /// earlier, 0 disables it. Default 0.
    pub fn refresh_ahead(mut self, beta: f64) -> Self {
        self.policy.beta = beta;
        self
    }

    /// Sets the function that returns what the load of a value cost, in micro-dollars, for
    /// [`Lookup::saved_micros`](crate::Lookup::saved_micros) and the statistics. It runs for every
    /// hit, so it should only read a field. Default: loads are free.
    pub fn cost_micros(mut self, cost: fn(&V) -> u64) -> Self {
        self.cost_micros = Some(cost);
        self
    }

    /// Sets the length of JSON above which a value is compressed in the second level. Default 4096.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.policy.compress_above = bytes;
        self
    }

    /// Sets how long the lease on a key outlives its holder. Default 2 s.
    ///
    /// An instance takes the lease of a key in the second level before it loads the key. It renews
    /// the lease every third of this time, for at most [`Builder::lease_wait`]. Other instances
    /// wait for the value meanwhile. If the holder is killed, stopped or disconnected, they wait no
    /// longer than this time.
    pub fn lease(mut self, ttl: Duration) -> Self {
        self.policy.lease = Some(ttl);
        self
    }

    /// Disables leases: every instance loads a missing key itself. Useful for loads that cost less
    /// than a wait.
    pub fn no_lease(mut self) -> Self {
        self.policy.lease = None;
        self
    }

    /// Sets how long an instance waits for the load of another instance before it loads itself.
    /// Default 15 s, and never more than half of the hard timeout, so that the load has time left.
    pub fn lease_wait(mut self, wait: Duration) -> Self {
        self.policy.lease_wait = wait;
        self
    }

    /// Sets the second level, which also connects the cache with the other instances. Default:
    /// none.
    pub fn remote(mut self, remote: Arc<dyn Remote>) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Sets the function that returns how many bytes a value takes in memory. Default: the length
    /// of its JSON.
    pub fn weigher(mut self, weigher: impl Fn(&V) -> usize + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigher));
        self
    }

    /// Sets the source of time. Default: the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Builder<V> {
    /// Builds the cache. With a second level, the cache starts to listen to the other instances,
    /// which requires a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for a name or a number that can never work.
    pub fn build(self) -> Result<Cache<V>, ConfigError> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(good) {
            return Err(ConfigError::Name);
        }
        self.policy.validate()?;
        if self.remote.is_some() && tokio::runtime::Handle::try_current().is_err() {
            return Err(ConfigError::Range { setting: "remote", expected: "set inside a tokio runtime" });
        }
        let inner = Arc::new(self.inner());
        if inner.second.is_some() {
            listener::start(&inner);
        }
        Ok(Cache { inner })
    }

    fn inner(self) -> Inner<V> {
        let Self { name, schema_version, policy, remote, weigher, negative_when, cost_micros, clock, .. } =
            self;
        let mut schema = blake3::Hasher::new();
        schema.update(name.as_bytes());
        // Without the name of the type, because a struct that moves to another module is still the
        // same value.
        schema.update(&schema_version.to_le_bytes());
        let schema = Key::from_bytes(*schema.finalize().as_bytes()).short();
        let name: Arc<str> = name.into();
        Inner {
            schema,
            unserializable_logged: AtomicBool::new(false),
            memory: Memory::new(&policy),
            single_flight: SingleFlight::new(policy.max_in_flight.saturating_add(policy.max_queued)),
            invalidations: Invalidations::default(),
            counters: Counters::default(),
            second: remote.map(|remote| SecondLevel::new(remote, Arc::clone(&name))),
            loaders: Semaphore::new(policy.max_in_flight),
            weigher,
            negative_when,
            cost_micros,
            clock,
            policy,
            name,
        }
    }
}
