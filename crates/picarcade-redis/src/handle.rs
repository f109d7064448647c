//! The handle: deadlines, prefix, limits, and the choice of the endpoint for each command.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::{
    Cause, Condition, Config, ConfigError, Connector, Driver, Error, Role, Script, Subscription, Value,
    driver::{choice, contract::FixedDriver},
    routing::{
        connection::{self, Live},
        endpoint::{Endpoint, apply},
        journal::Invalidation,
        router::Router,
    },
};

/// A handle to Redis. Clones share everything.
///
/// - It never blocks start-up. It connects in the background, and until then every command fails at
///   once with [`Error::Refused`].
/// - Every command ends within [`Config::command_timeout`].
/// - Every key and channel gets [`Config::prefix`]. Keys and values above the limits are rejected
///   before they are sent.
/// - Without a connection, commands fail with the reason: [`Error::Refused`], or [`Error::Auth`],
///   [`Error::Tls`] or [`Error::Protocol`] if waiting does not help.
/// - When the last clone is dropped, its tasks end.
#[derive(Debug, Clone)]
pub struct RedisHandle {
    shared: Arc<Shared>,
}

/// A snapshot of a [`RedisHandle`], for health pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RedisStatus {
    /// Whether the active endpoint has a working connection.
    pub connected: bool,
    /// The active endpoint.
    pub active: Role,
    /// The number of changes of the active connection: a reconnect, a fail-over, a fail-back.
    pub generation: u64,
    /// The duration of the last probe of the active endpoint.
    pub latency_ms: Option<f64>,
    /// The `used_memory` of the active server at the last check.
    pub used_memory_bytes: Option<u64>,
    /// The number of invalidations that an absent endpoint has missed.
    pub pending_invalidations: usize,
    /// The cause of the last failure to connect to, to probe or to use the active endpoint, as a
    /// word.
    pub last_error: Option<&'static str>,
    /// The cause of `last_error`.
    pub cause: Option<Cause>,
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
    /// Checks the configuration and starts to connect. Returns at once.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for a setting that can never work. A server that is down is not an
    /// error.
    pub fn connect(config: Config) -> Result<Self, ConfigError> {
        let (primary, backup) = config.validate()?;
        // rustls requires a default provider. A provider that the program has already installed is
        // kept.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let primary = choice::connector(&config, primary)?;
        let backup = backup.map(|address| choice::connector(&config, address)).transpose()?;
        Self::with_connectors(config, primary, backup)
    }

    /// Uses an existing client, which must reconnect by itself. The URLs in `config` are not used.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError::Range`] or [`ConfigError::NoRuntime`].
    pub fn from_driver(driver: Arc<dyn Driver>, config: Config) -> Result<Self, ConfigError> {
        Self::with_connectors(config, Arc::new(FixedDriver(driver)), None)
    }

    /// Uses existing connectors. The URLs in `config` are not used.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError::Range`] or [`ConfigError::NoRuntime`].
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

    /// Waits until an endpoint is available.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Timeout`] if none is available within `deadline`. Returns [`Error::Auth`],
    /// [`Error::Tls`] or [`Error::Protocol`] as soon as it is known that waiting does not help.
    pub async fn ready(&self, deadline: Duration) -> Result<(), Error> {
        let (mut serving, mut fatal) = (self.router().watch(), self.router().fatal());
        let either = async {
            tokio::select! {
                _ = serving.wait_for(|serving| serving.epoch != 0) => Ok(()),
                why = fatal.wait_for(Option::is_some) => {
                    Err(why.ok().and_then(|why| why.clone()).unwrap_or(Error::Refused))
                }
            }
        };
        timeout(deadline, either).await.unwrap_or(Err(Error::Timeout))
    }

    /// Sends a `PING` to the active endpoint and returns the time of the round trip.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let began = Instant::now();
        let call = self.begin()?;
        call.settle(call.live.driver.ping()).await?;
        Ok(began.elapsed())
    }

    /// Returns the observable state, without a request to a server.
    pub fn status(&self) -> RedisStatus {
        let router = self.router();
        let serving = router.serving();
        let active = router.endpoint(serving.role);
        let connected = active.live().is_some();
        let mut pending = active.missed();
        if router.has_backup() {
            pending += router.endpoint(serving.role.other()).missed();
        }
        RedisStatus {
            connected,
            active: serving.role,
            generation: serving.generation,
            latency_ms: active.latency().filter(|_| connected).map(|latency| latency.as_secs_f64() * 1000.0),
            used_memory_bytes: active.memory().filter(|_| connected),
            pending_invalidations: pending,
            last_error: active.cause().map(Cause::as_str),
            cause: active.cause(),
        }
    }

    /// Returns the prefix of every key and channel.
    pub fn prefix(&self) -> &str {
        &self.router().config.prefix
    }

    /// Returns the timeout of every command.
    pub fn command_timeout(&self) -> Duration {
        self.router().config.command_timeout
    }

    /// Returns the number of changes of the active connection; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.router().serving().generation
    }

    /// Returns whether a backup endpoint is configured.
    pub fn has_backup(&self) -> bool {
        self.router().has_backup()
    }

    /// Waits for the next change of the active connection, and returns whether there is a
    /// connection after it.
    pub async fn changed(&self) -> bool {
        let mut serving = self.router().watch();
        let _ = serving.changed().await;
        serving.borrow().epoch != 0
    }

    /// Returns the value of a key. Reads that are ready at the same time share one command
    /// (`MGET`), for which a key of another type than string does not exist.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let key = self.key(key)?;
        let call = self.begin()?;
        call.settle(connection::get(&call.live, key, self.router().config.command_timeout)).await
    }

    /// Returns the values of many keys, in order and in one round trip.
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        let keys = self.keys(keys)?;
        let call = self.begin()?;
        call.settle(call.live.driver.get_many(&keys)).await
    }

    /// Writes a value for `ttl` (`None`: for ever).
    pub async fn set(&self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
        self.set_if(key, value, ttl, Condition::Always).await.map(drop)
    }

    /// Writes a value under a condition, and returns whether the condition held.
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

    /// Deletes a key on every endpoint. An absent endpoint deletes it when it is back, before it
    /// becomes active.
    ///
    /// # Errors
    ///
    /// Returns the error of the active endpoint. The deletion is stored and repeated in that case
    /// too.
    pub async fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.invalidate(key, Invalidation::Delete).await
    }

    /// Like [`RedisHandle::delete`], but leaves a tombstone at the key for `ttl`, so that late
    /// writers detect the deletion.
    ///
    /// # Errors
    ///
    /// Returns the error of the active endpoint. The tombstone is stored and repeated in that case
    /// too.
    pub async fn delete_with_tombstone(
        &self,
        key: &[u8],
        tombstone: &[u8],
        ttl: Duration,
    ) -> Result<(), Error> {
        self.fits(tombstone)?;
        self.invalidate(key, Invalidation::Tombstone { value: Bytes::copy_from_slice(tombstone), ttl }).await
    }

    /// Runs a script. In a cluster all keys must share a slot, by the same `{hash tag}`.
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

    /// Publishes a message to a channel, at most once. Returns how many subscribers of that server
    /// received it.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<u64, Error> {
        let channel = self.key(channel.as_bytes())?;
        self.fits(message)?;
        let call = self.begin()?;
        call.settle(call.live.driver.publish(&channel, message)).await
    }

    /// Subscribes to a channel of the active endpoint, across reconnects and fail-overs.
    ///
    /// # Errors
    ///
    /// Returns [`Error::TooLarge`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        let channel = self.key(channel.as_bytes())?;
        Ok(Subscription::start(Arc::clone(self.router()), channel.to_vec()))
    }

    async fn invalidate(&self, key: &[u8], what: Invalidation) -> Result<(), Error> {
        let router = self.router();
        let key = self.key(key)?;
        let active = router.serving().role;
        if router.has_backup() {
            // The standby must forget the value too, or a fail-over would bring it back. The
            // supervisor of the standby executes the invalidation, so the caller does not wait for
            // it.
            router.endpoint(active.other()).miss(key.clone(), what.clone());
        }
        let endpoint = router.endpoint(active);
        let Some(live) = endpoint.live_or_miss(&key, &what) else { return Err(endpoint.reason()) };
        let pending = PendingInvalidation { endpoint, key, what, is_confirmed: false };
        let call = Call { router, role: active, live, _permit: None };
        let outcome = call.settle(apply(&*call.live.driver, &pending.key, &pending.what)).await;
        pending.settle(outcome)
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

/// An invalidation in flight. If its caller leaves, the supervisor executes it.
struct PendingInvalidation<'a> {
    endpoint: &'a Endpoint,
    key: Bytes,
    what: Invalidation,
    is_confirmed: bool,
}

impl PendingInvalidation<'_> {
    fn settle(mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        self.is_confirmed = outcome.is_ok();
        outcome
    }
}

impl Drop for PendingInvalidation<'_> {
    fn drop(&mut self) {
        let (key, what) = (std::mem::take(&mut self.key), self.what.clone());
        if self.is_confirmed {
            self.endpoint.record_confirmed(key, what);
        } else {
            self.endpoint.miss(key, what);
        }
    }
}

/// A command in flight.
struct Call<'a> {
    router: &'a Router,
    role: Role,
    live: Arc<Live>,
    _permit: Option<tokio::sync::SemaphorePermit<'a>>,
}

impl Call<'_> {
    /// Waits for the answer within the deadline and reports the outcome to the endpoint.
    async fn settle<T>(&self, answer: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        let outcome =
            timeout(self.router.config.command_timeout, answer).await.unwrap_or(Err(Error::Timeout));
        self.router.report(self.role, &self.live, outcome.as_ref().err());
        outcome
    }
}
