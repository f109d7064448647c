//! The handle that everything else holds: deadlines, prefix, bound, and the choice of the endpoint.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    sync::Semaphore,
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::{
    Condition, Config, ConfigError, Connector, Driver, Error, Role, Script, Status, Subscription, Value,
    driver::{choice, connector::FixedDriver},
    routing::{
        connection::{self, Live},
        endpoint::{Endpoint, apply},
        journal::Invalidation,
        router::Router,
    },
};

/// Redis, as the rest of the system knows it. Clones share everything.
///
/// - It never blocks start-up: connecting happens behind, and until it has succeeded every command fails at once
///   with [`Error::Refused`].
/// - Every command ends within [`Config::command_timeout`].
/// - Every key and channel gets [`Config::prefix`]; what is larger than the limits is refused before it is sent.
/// - While nothing serves, commands fail with the reason: [`Error::Refused`], or [`Error::Auth`], [`Error::Tls`] or
///   [`Error::Protocol`] when waiting will not help.
/// - When the last clone is dropped, its tasks end.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use picarcade_redis::{Config, RedisHandle};
/// use std::time::Duration;
/// let redis = RedisHandle::connect(Config::new("redis://localhost"))?;
/// redis.ready(Duration::from_secs(2)).await?;
/// redis.set(b"greeting", b"hello", Some(Duration::from_secs(60))).await?;
/// assert_eq!(redis.get(b"greeting").await?.as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct RedisHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    router: Arc<Router>,
    in_flight: Semaphore,
    tasks: Vec<AbortHandle>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl RedisHandle {
    /// Checks the configuration and begins to connect. Returns at once.
    ///
    /// # Errors
    /// [`ConfigError`] for what can never work. A server that is down is not an error.
    pub fn connect(config: Config) -> Result<Self, ConfigError> {
        let (primary, backup) = config.validate()?;
        // rustls refuses to guess a provider. Whichever the program has installed already is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let primary = choice::connector(&config, primary)?;
        let backup = backup.map(|address| choice::connector(&config, address)).transpose()?;
        Self::with_connectors(config, primary, backup)
    }

    /// Uses a client that you already have, which must reconnect by itself. The URLs in `config` are not used.
    ///
    /// # Errors
    /// [`ConfigError::Range`], [`ConfigError::NoRuntime`].
    pub fn from_driver(driver: Arc<dyn Driver>, config: Config) -> Result<Self, ConfigError> {
        Self::with_connectors(config, Arc::new(FixedDriver(driver)), None)
    }

    /// Uses connectors of your own. The URLs in `config` are not used.
    ///
    /// # Errors
    /// [`ConfigError::Range`], [`ConfigError::NoRuntime`].
    pub fn with_connectors(
        config: Config,
        primary: Arc<dyn Connector>,
        backup: Option<Arc<dyn Connector>>,
    ) -> Result<Self, ConfigError> {
        config.validate_ranges()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let in_flight = Semaphore::new(config.max_in_flight);
        let primary = Endpoint::new(primary, &config);
        let backup = backup.map(|connector| Endpoint::new(connector, &config));
        let router = Arc::new(Router::new(config, primary, backup));
        let mut tasks = vec![runtime.spawn(Arc::clone(&router).supervise(Role::Primary)).abort_handle()];
        if router.has_backup() {
            tasks.push(runtime.spawn(Arc::clone(&router).supervise(Role::Backup)).abort_handle());
        }
        Ok(Self { shared: Arc::new(Shared { router, in_flight, tasks }) })
    }

    /// Waits until some endpoint serves.
    ///
    /// # Errors
    /// [`Error::Timeout`] when none does within `deadline`. [`Error::Auth`], [`Error::Tls`] or [`Error::Protocol`] as soon
    /// as it is known that waiting will not help.
    pub async fn ready(&self, deadline: Duration) -> Result<(), Error> {
        let (mut serving, mut hopeless) = (self.router().watch(), self.router().hopeless());
        let either = async {
            tokio::select! {
                _ = serving.wait_for(|serving| serving.epoch != 0) => Ok(()),
                why = hopeless.wait_for(Option::is_some) => {
                    Err(why.ok().and_then(|why| why.clone()).unwrap_or(Error::Refused))
                }
            }
        };
        timeout(deadline, either).await.unwrap_or(Err(Error::Timeout))
    }

    /// A round trip to the active endpoint.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let began = Instant::now();
        let call = self.begin()?;
        call.settle(call.live.driver.ping()).await?;
        Ok(began.elapsed())
    }

    /// What can be seen from outside, without asking any server.
    pub fn status(&self) -> Status {
        let router = self.router();
        let serving = router.serving();
        let active = router.endpoint(serving.role);
        let connected = active.live().is_some();
        let mut pending = active.missed();
        if router.has_backup() {
            pending += router.endpoint(serving.role.other()).missed();
        }
        Status {
            connected,
            active: serving.role,
            generation: serving.generation,
            latency_ms: active.latency().filter(|_| connected).map(|latency| latency.as_secs_f64() * 1000.0),
            used_memory_bytes: active.memory().filter(|_| connected),
            pending_invalidations: pending,
            last_error: active.last_error(),
        }
    }

    /// The prefix of every key and channel.
    pub fn prefix(&self) -> &str {
        &self.router().config.prefix
    }

    /// Within which time every command ends.
    pub fn command_timeout(&self) -> Duration {
        self.router().config.command_timeout
    }

    /// Counts every change of the connection that serves; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.router().serving().generation
    }

    /// Returns whether a backup endpoint is configured.
    pub fn has_backup(&self) -> bool {
        self.router().has_backup()
    }

    /// Waits for the next change of the connection that serves, and returns whether one serves after it.
    pub async fn changed(&self) -> bool {
        let mut serving = self.router().watch();
        let _ = serving.changed().await;
        serving.borrow().epoch != 0
    }

    /// The value of a key. Reads that are ready at the same time share a command (`MGET`), to which a key of another type
    /// than string is a missing one.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let key = self.key(key)?;
        let call = self.begin()?;
        call.settle(connection::get(&call.live, key, self.router().config.command_timeout)).await
    }

    /// The value of a key and the time it still has to live (`None`: for ever).
    pub async fn get_with_ttl(&self, key: &[u8]) -> Result<Option<(Bytes, Option<Duration>)>, Error> {
        let key = self.key(key)?;
        let call = self.begin()?;
        call.settle(call.live.driver.get_with_ttl(&key)).await
    }

    /// The values of many keys, in order and in one round trip.
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        let keys = self.keys(keys)?;
        let call = self.begin()?;
        call.settle(call.live.driver.get_many(&keys)).await
    }

    /// Writes a value for `ttl` (`None`: for ever).
    pub async fn set(&self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
        self.set_if(key, value, ttl, Condition::Always).await.map(drop)
    }

    /// Writes a value under a condition, and returns whether it held.
    pub async fn set_if(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        condition: Condition,
    ) -> Result<bool, Error> {
        let key = self.key(key)?;
        self.fits(value)?;
        let call = self.begin()?;
        call.settle(call.live.driver.set(&key, value, ttl, condition)).await
    }

    /// Deletes a key on every endpoint, now or as soon as the endpoint is back, before it serves again.
    ///
    /// # Errors
    /// What the active endpoint said; the deletion is remembered for it all the same.
    pub async fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.invalidate(key, Invalidation::Delete).await
    }

    /// As [`RedisHandle::delete`], but leaves a marker at the key for `ttl`, so that late writers notice.
    ///
    /// # Errors
    /// What the active endpoint said; the marker is remembered for it all the same.
    pub async fn bury(&self, key: &[u8], marker: &[u8], ttl: Duration) -> Result<(), Error> {
        self.fits(marker)?;
        self.invalidate(key, Invalidation::Mark { marker: Bytes::copy_from_slice(marker), ttl }).await
    }

    /// Runs a script. In a cluster all keys must share a slot: give them the same `{hash tag}`.
    pub async fn eval<K: AsRef<[u8]>, A: AsRef<[u8]>>(
        &self,
        script: &Script,
        keys: &[K],
        args: &[A],
    ) -> Result<Value, Error> {
        let keys = self.keys(keys)?;
        args.iter().try_for_each(|arg| self.fits(arg.as_ref()))?;
        let args: Vec<Bytes> = args.iter().map(|arg| Bytes::copy_from_slice(arg.as_ref())).collect();
        let call = self.begin()?;
        call.settle(call.live.driver.eval(script, &keys, &args)).await
    }

    /// Publishes a message to a channel, at most once. Returns how many subscribers of that server heard it.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<u64, Error> {
        let channel = self.key(channel.as_bytes())?;
        self.fits(message)?;
        let call = self.begin()?;
        call.settle(call.live.driver.publish(&channel, message)).await
    }

    /// Listens to a channel of the active endpoint, across reconnects and fail-overs.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        let channel = self.key(channel.as_bytes())?;
        Ok(Subscription::start(Arc::clone(self.router()), channel.to_vec()))
    }

    /// A section of `INFO`.
    pub async fn info(&self, section: &str) -> Result<String, Error> {
        let call = self.begin()?;
        call.settle(call.live.driver.info(section)).await
    }

    async fn invalidate(&self, key: &[u8], what: Invalidation) -> Result<(), Error> {
        let router = self.router();
        let key = self.key(key)?;
        let active = router.serving().role;
        if router.has_backup() {
            // The standby must forget too, or the value would come back with the next fail-over. It is told by its
            // supervisor, which is woken: the caller does not wait for a standby.
            router.endpoint(active.other()).miss(key.clone(), what.clone());
        }
        let endpoint = router.endpoint(active);
        let Some(live) = endpoint.live_or_miss(&key, &what) else { return Err(endpoint.reason()) };
        let owed = Owed { endpoint, key, what, told: false };
        let call = Call { router, role: active, live, _permit: None };
        let outcome = call.settle(apply(&*call.live.driver, &owed.key, &owed.what)).await;
        owed.settle(outcome)
    }

    fn router(&self) -> &Arc<Router> {
        &self.shared.router
    }

    fn key(&self, key: &[u8]) -> Result<Bytes, Error> {
        let config = &self.router().config;
        let length = config.prefix.len() + key.len();
        if length > config.max_key_bytes {
            return Err(Error::TooLarge { what: "key", limit: config.max_key_bytes });
        }
        let mut out = BytesMut::with_capacity(length);
        out.put_slice(config.prefix.as_bytes());
        out.put_slice(key);
        Ok(out.freeze())
    }

    fn keys<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Bytes>, Error> {
        keys.iter().map(|key| self.key(key.as_ref())).collect()
    }

    fn fits(&self, value: &[u8]) -> Result<(), Error> {
        let limit = self.router().config.max_value_bytes;
        if value.len() > limit { Err(Error::TooLarge { what: "value", limit }) } else { Ok(()) }
    }

    fn begin(&self) -> Result<Call<'_>, Error> {
        let permit = self.shared.in_flight.try_acquire().map_err(|_| Error::Overloaded)?;
        let (role, live) = self.router().active()?;
        Ok(Call { router: self.router(), role, live, _permit: Some(permit) })
    }
}

/// An invalidation under way. Whoever asked for it may leave: then it is carried out by the supervisor.
struct Owed<'a> {
    endpoint: &'a Endpoint,
    key: Bytes,
    what: Invalidation,
    told: bool,
}

impl Owed<'_> {
    fn settle(mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        self.told = outcome.is_ok();
        outcome
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        let (key, what) = (std::mem::take(&mut self.key), self.what.clone());
        if self.told { self.endpoint.told(key, what) } else { self.endpoint.miss(key, what) }
    }
}

/// A command under way.
struct Call<'a> {
    router: &'a Router,
    role: Role,
    live: Arc<Live>,
    _permit: Option<tokio::sync::SemaphorePermit<'a>>,
}

impl Call<'_> {
    /// Waits for the answer within the deadline and draws the conclusions for the endpoint.
    async fn settle<T>(&self, answer: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        let outcome =
            timeout(self.router.config.command_timeout, answer).await.unwrap_or(Err(Error::Timeout));
        self.router.report(self.role, &self.live, outcome.as_ref().err());
        outcome
    }
}
