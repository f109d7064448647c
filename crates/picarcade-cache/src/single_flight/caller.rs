//! The callers of a missing key: one leads the load, the others join it, and no caller waits longer
//! than its deadline.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

use crate::{
    CacheSource, Key, LoadError, Lookup, Options,
    entry::Entry,
    inner::Inner,
    known::Known,
    single_flight::{
        load::{Load, Loader},
        shared_load::{Completion, SharedLoad},
        table::Role,
    },
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Leads or joins the load of a key, and waits for its result until the deadline of the caller.
    pub(crate) async fn load<E: Send + Sync + 'static>(
        self: &Arc<Self>,
        key: &Key,
        options: Options,
        known: Known<V>,
        loader: impl Loader<V>,
    ) -> Result<Lookup<V>, LoadError<E>> {
        let fallback = known.fallback();
        let now = Instant::now();
        let hard = now + self.policy.hard_timeout;
        let deadline = if fallback.is_some() { hard.min(now + self.policy.soft_timeout) } else { hard };
        let mut is_shared = false;
        let completion = loop {
            match self.single_flight.join_or_lead(key) {
                Role::Leader(shared, permit) => {
                    if options.no_write {
                        // Other callers want a value that is stored, so they must not join.
                        self.single_flight.finish(key, &shared, || ());
                    }
                    let load = Load::new(self, *key, Arc::clone(&shared), permit, options, known);
                    break self.lead(load, shared, loader, deadline).await;
                }
                Role::Follower(shared) => match self.join(shared, deadline).await {
                    // The leader had no loader, or left before its load began.
                    Some(Completion::Absent | Completion::Released) => {}
                    // The error of another loader has another type, so it cannot be returned here.
                    Some(Completion::Failed(error)) if !error.is::<E>() => {}
                    completion => {
                        is_shared = matches!(completion, Some(Completion::Found(_, CacheSource::Loaded)));
                        if is_shared {
                            self.counters.coalesced.one();
                        }
                        break completion;
                    }
                },
                Role::Rejected => break Some(Completion::Overloaded),
            }
        };
        match (completion, fallback) {
            (Some(Completion::Found(entry, source)), _) => {
                let mut lookup = self.serve(key, &entry, source, false);
                if is_shared {
                    lookup.saved_micros = self.save(key, &entry.value);
                }
                Ok(lookup)
            }
            (Some(other), fallback) => self.without_load(key, fallback, other.into_error()),
            (None, Some(entry)) => Ok(self.serve(key, &entry, CacheSource::Stale, true)),
            (None, None) => {
                self.counters.timeouts.one();
                self.without_load(key, None, LoadError::TimedOut)
            }
        }
    }

    /// Reads the second level, and if that is not enough, starts the loader and waits for it.
    /// Returns `None` at the deadline.
    async fn lead(
        &self,
        mut load: Load<V>,
        shared: Arc<SharedLoad<V>>,
        loader: impl Loader<V>,
        deadline: Instant,
    ) -> Option<Completion<V>> {
        if let Ok(Some((entry, source))) = timeout_at(deadline, load.read()).await {
            return Some(Completion::Found(entry, source));
        }
        load.spawn(loader);
        self.join(shared, deadline).await
    }

    /// Waits for a load under way. Returns `None` at the deadline.
    async fn join(&self, shared: Arc<SharedLoad<V>>, deadline: Instant) -> Option<Completion<V>> {
        let Some(waiter) = shared.waiter(self.policy.max_waiters) else {
            return Some(Completion::Overloaded);
        };
        timeout_at(deadline, waiter.wait()).await.ok()
    }

    /// Reads a key from the second level without a loader, or joins the load under way.
    pub(crate) async fn read(
        self: &Arc<Self>,
        key: &Key,
        known: Known<V>,
    ) -> Option<(Entry<V>, CacheSource)> {
        self.second.as_ref()?;
        // The second level bounds a read. The hard timeout bounds a load that is joined.
        let deadline = Instant::now() + self.policy.hard_timeout;
        loop {
            match self.single_flight.join_or_lead(key) {
                Role::Leader(shared, permit) => {
                    let mut load = Load::new(self, *key, shared, permit, Options::default(), known);
                    let found = load.read().await;
                    load.end();
                    return found;
                }
                Role::Follower(shared) => match self.join(shared, deadline).await {
                    Some(Completion::Released) => {}
                    Some(Completion::Found(entry, source)) => return Some((entry, source)),
                    _ => return None,
                },
                Role::Rejected => return None,
            }
        }
    }

    /// Starts a load that replaces a fresh value ahead of time, unless a load is under way.
    pub(crate) fn refresh(
        self: &Arc<Self>,
        key: &Key,
        options: Options,
        entry: &Entry<V>,
        loader: impl Loader<V>,
    ) {
        if let Role::Leader(shared, permit) = self.single_flight.join_or_lead(key) {
            self.counters.refreshes.one();
            Load::new(self, *key, shared, permit, options, Known::Fresh(entry.clone())).spawn(loader);
        }
    }

    /// Loads without reading the cache.
    pub(crate) async fn bypass<E: Send + Sync + 'static>(
        self: &Arc<Self>,
        key: &Key,
        options: Options,
        loader: impl Loader<V>,
    ) -> Result<Lookup<V>, LoadError<E>> {
        let table = &self.single_flight;
        let registered = if options.no_write { table.unregistered() } else { table.replace(key) };
        let Some((shared, permit)) = registered else {
            return self.without_load(key, None, LoadError::Overloaded);
        };
        let deadline = Instant::now() + self.policy.hard_timeout;
        Load::new(self, *key, Arc::clone(&shared), permit, options, Known::Nothing).spawn(loader);
        match timeout_at(deadline, shared.wait()).await {
            Ok(Completion::Found(entry, _)) => Ok(self.serve(key, &entry, CacheSource::Bypass, false)),
            Ok(other) => self.without_load(key, None, other.into_error()),
            Err(_) => {
                self.counters.timeouts.one();
                self.without_load(key, None, LoadError::TimedOut)
            }
        }
    }

    /// Returns the stale value, or the error without one.
    fn without_load<E>(
        &self,
        key: &Key,
        fallback: Option<Entry<V>>,
        error: LoadError<E>,
    ) -> Result<Lookup<V>, LoadError<E>> {
        if matches!(error, LoadError::Overloaded) {
            self.counters.overloaded.one();
        }
        // The stale time may have ended while the caller waited.
        let Some(entry) = fallback.filter(|entry| self.clock.now() < entry.stamps.stale_until()) else {
            self.counters.misses.one();
            return Err(error);
        };
        Ok(self.serve(key, &entry, CacheSource::Stale, false))
    }
}
