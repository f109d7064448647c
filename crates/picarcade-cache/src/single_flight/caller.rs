//! What a miss does: take the lead of the key's flight or a seat on it, and wait no longer than allowed.

use std::{any::Any, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

use crate::{
    Key, LoadError, Loaded, Lookup, Options, Source,
    entry::Entry,
    inner::Inner,
    single_flight::flight::{Outcome, Seat},
    single_flight::load::{Load, Purpose},
};

/// What a caller has at hand while a load runs.
pub(crate) enum At<V> {
    /// A value that may be answered if the load fails or takes long.
    Hand(Entry<V>),
    /// A value that may have been invalidated: not to be answered unless the second level confirms it.
    Doubt(Entry<V>),
    Nothing,
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Reads a key from the second level, or waits for the load of it that is under way.
    pub(crate) async fn read(
        self: &Arc<Self>,
        key: &Key,
        doubt: Option<Entry<V>>,
    ) -> Option<(Entry<V>, Source)> {
        self.second.as_ref()?;
        // A read has the second level's deadline; a load that is joined has the hard timeout.
        let deadline = Instant::now() + self.policy.hard_timeout;
        loop {
            let outcome = match self.flights.board(key) {
                Seat::Lead(flight, place) => {
                    let purpose = doubt.map_or(Purpose::Read, Purpose::Check);
                    let mut load = Load::new(self, *key, flight, place, Options::default(), purpose);
                    let outcome = load.read().await;
                    load.end();
                    outcome
                }
                Seat::Wait(flight) => match flight.join(self.policy.max_waiters) {
                    Some(waiter) => match timeout_at(deadline, waiter.wait()).await {
                        Ok(Outcome::Abandoned) => continue,
                        outcome => outcome.ok(),
                    },
                    None => None,
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
    pub(crate) async fn through_flight<F, Fut, E>(
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
                Seat::Lead(flight, place) => {
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
                    let mut load = Load::new(self, *key, Arc::clone(&flight), place, options, purpose);
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
    pub(crate) async fn bypass<F, Fut, E>(
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
        let flight = if options.no_write { self.flights.apart() } else { self.flights.displace(key) };
        let Some((flight, place)) = flight else {
            return self.without_load(key, None, LoadError::Overloaded);
        };
        let deadline = Instant::now() + self.policy.hard_timeout;
        Load::new(self, *key, Arc::clone(&flight), place, options, Purpose::Bypass).spawn(loader);
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
}
