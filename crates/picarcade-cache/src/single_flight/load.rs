//! The load of one key, from the second level or by its loader, as a separate task.
//!
//! It is a task because its callers may leave: a disconnect or a `select!` ends the caller but not
//! the load, so an expensive result is kept. Only the first step, the read of the second level,
//! runs in the caller that leads. It costs nothing to repeat, and a task would slow down every hit
//! there.
//!
//! The steps:
//!
//! 1. Read the second level.
//! 2. Take the lease of the key, so that only one instance loads it.
//! 3. Wait for a place among the running loaders.
//! 4. Run the loader.
//! 5. Store the value in memory, under the lock of its shard, and release the waiters.
//! 6. Write the second level.
//! 7. Give the lease back.
//!
//! If the load ends early (a panic, the end of the runtime), the waiters are released.

use std::{convert::Infallible, ops::ControlFlow, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    CacheSource, Key, Loaded, Options,
    clock::nanos,
    entry::{Entry, Freshness},
    inner::{Inner, Keeping},
    known::Known,
    level2::{
        lease::Lease,
        second_level::{SecondLevel, Seen},
    },
    single_flight::{
        completion::CompletionGuard,
        shared_load::{Completion, Failure, SharedLoad},
        table::LoadPermit,
    },
};

/// The first and the longest pause between two attempts to take a lease.
const LEASE_POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// A loader that has not begun. Its closure is called by the first poll, so a panic of the closure
/// is a panic of the load.
pub(crate) trait Loader<V>: Future<Output = Result<Loaded<V>, Failure>> + Send + 'static {}

impl<V, F: Future<Output = Result<Loaded<V>, Failure>> + Send + 'static> Loader<V> for F {}

/// The load of one key.
pub(crate) struct Load<V> {
    guard: CompletionGuard<V>,
    /// With `no_read`, the load ignores the values of both levels.
    options: Options,
    /// The count of invalidations when the load began.
    born: u64,
    /// The time when the load began. What it has seen of the second level is not older.
    begun: Instant,
    known: Known<V>,
    /// The versions that the second level returned, once it was read.
    seen: Option<Seen>,
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Load<V> {
    /// Creates the load for a shared load.
    pub(crate) fn new(
        inner: &Arc<Inner<V>>,
        key: Key,
        shared: Arc<SharedLoad<V>>,
        permit: LoadPermit,
        options: Options,
        known: Known<V>,
    ) -> Self {
        let born = inner.invalidations.count();
        let guard = CompletionGuard::new(inner, key, shared, permit, &options);
        Self { guard, options, born, begun: Instant::now(), known, seen: None }
    }

    /// Reads the second level. Returns the value if the load has ended with it.
    ///
    /// The future may be dropped and the read repeated, or the load dropped: another caller then
    /// leads.
    pub(crate) async fn read(&mut self) -> Option<(Entry<V>, CacheSource)> {
        let inner = Arc::clone(&self.guard.inner);
        let second = inner.second.as_ref().filter(|_| self.seen.is_none())?;
        let (found, is_reachable) = self.fetch(second).await;
        if let Known::Unverified(entry) = &self.known {
            let entry = entry.clone();
            if !is_reachable && entry.stamps.assess(inner.clock.now()) == Freshness::Fresh {
                // Memory continues to serve without the second level.
                self.guard.complete(Completion::Found(entry.clone(), CacheSource::L1));
                return Some((entry, CacheSource::L1));
            }
            // A value that the second level does not confirm must not even answer as stale.
            self.known = if is_reachable { Known::Nothing } else { Known::Stale(entry) };
        }
        self.accept(found)
    }

    /// Ends a load without a loader, which found nothing.
    pub(crate) fn end(self) {
        self.guard.complete(Completion::Absent);
    }

    /// Continues the load as a task, independent of its callers.
    pub(crate) fn spawn(mut self, loader: impl Loader<V>) {
        self.guard.becomes_a_task();
        tokio::spawn(self.run(loader));
    }

    async fn run(mut self, loader: impl Loader<V>) {
        let inner = Arc::clone(&self.guard.inner);
        let limit = Instant::now() + inner.policy.load_limit;
        if self.read().await.is_some() {
            return;
        }
        let ControlFlow::Continue(lease) = self.take_lease(&inner).await else { return };
        let outcome = {
            let renewing = async {
                if let Some(lease) = &lease {
                    lease.renew(&inner.counters, inner.policy.lease_wait).await;
                }
                std::future::pending::<Infallible>().await
            };
            let loading = async {
                match timeout_at(limit, inner.loaders.acquire()).await {
                    Ok(Ok(_permit)) => self.run_loader(loader, limit).await,
                    _ => Err(Completion::Overloaded),
                }
            };
            tokio::select! {
                outcome = loading => outcome,
                never = renewing => match never {},
            }
        };
        match outcome {
            Ok((result, took)) => self.succeed(result, took).await,
            Err(completion) => self.fail(completion),
        }
        if let Some(lease) = lease {
            lease.give_back(&inner.counters).await;
        }
    }

    /// Takes the lease of the key, or waits for the value of its holder. Continues without a lease
    /// if the wait is over or leases are off. Breaks if the load has ended without a loader.
    async fn take_lease<'a>(&mut self, inner: &'a Inner<V>) -> ControlFlow<(), Option<Lease<'a>>> {
        let Options { no_lease, no_read, no_write, .. } = self.options;
        // Without a write, other instances would wait in vain for the value.
        let ttl = inner.policy.lease.filter(|_| !no_lease && !no_read && !no_write);
        let (Some(second), Some(ttl)) = (&inner.second, ttl) else { return ControlFlow::Continue(None) };
        let wait_until = Instant::now() + inner.policy.lease_wait_limit();
        let (mut pause, longest) = LEASE_POLL_INTERVAL;
        loop {
            match Lease::take(second, self.guard.key, ttl).await {
                Ok(Some(lease)) => {
                    // The previous holder may have stored its value between the read and the lease.
                    let (found, _) = self.fetch(second).await;
                    if self.accept(found).is_some() {
                        lease.give_back(&inner.counters).await;
                        return ControlFlow::Break(());
                    }
                    return ControlFlow::Continue(Some(lease));
                }
                Ok(None) => {
                    if let Known::Fresh(entry) = &self.known {
                        // Another instance refreshes the value.
                        self.guard.complete(Completion::Found(entry.clone(), CacheSource::L1));
                        return ControlFlow::Break(());
                    }
                    if Instant::now() >= wait_until {
                        return ControlFlow::Continue(None);
                    }
                }
                // The second level is unavailable or allows no leases, so no other instance can
                // announce its load.
                Err(_) => {
                    inner.counters.remote_errors.one();
                    return ControlFlow::Continue(None);
                }
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(longest);
            let (found, _) = self.fetch(second).await;
            if self.accept(found).is_some() {
                return ControlFlow::Break(());
            }
        }
    }

    /// Reads the key from the second level. Returns also whether the second level answered.
    async fn fetch(&mut self, second: &SecondLevel) -> (Known<V>, bool) {
        let CompletionGuard { inner, key, .. } = &self.guard;
        let (found, seen) = inner.fetch(second, key, &self.options.tags, self.born).await;
        let is_reachable = seen.is_known();
        self.seen = Some(seen);
        (found, is_reachable)
    }

    /// Ends the load with a fresh value of the second level, or keeps an older value as a fallback.
    fn accept(&mut self, found: Known<V>) -> Option<(Entry<V>, CacheSource)> {
        match found {
            Known::Fresh(entry) if self.is_enough(&entry) => {
                self.guard.store_and_complete(&entry, CacheSource::L2);
                return Some((entry, CacheSource::L2));
            }
            Known::Fresh(entry) | Known::Stale(entry) => self.keep_newer(entry),
            Known::Unverified(_) | Known::Nothing => {}
        }
        None
    }

    /// Returns whether a fresh entry of the second level makes the loader unnecessary.
    fn is_enough(&self, entry: &Entry<V>) -> bool {
        match &self.known {
            _ if self.options.no_read => false,
            // The value to be refreshed does not count, only a later one. Stamps are rounded to
            // milliseconds and read from clocks that tick, so a margin is added.
            Known::Fresh(current) => entry.stamps.stored > current.stamps.stored.saturating_add(30_000_000),
            Known::Stale(_) | Known::Unverified(_) | Known::Nothing => true,
        }
    }

    fn keep_newer(&mut self, entry: Entry<V>) {
        let is_newer = match &self.known {
            Known::Nothing => !self.options.no_read,
            Known::Stale(kept) => kept.stamps.stored < entry.stamps.stored,
            Known::Fresh(_) | Known::Unverified(_) => false,
        };
        if is_newer {
            self.known = Known::Stale(entry);
        }
    }

    /// Runs the loader and counts how it ended.
    async fn run_loader(
        &self,
        loader: impl Loader<V>,
        limit: Instant,
    ) -> Result<(Loaded<V>, Duration), Completion<V>> {
        let counters = &self.guard.inner.counters;
        counters.loads.one();
        let began = Instant::now();
        let ended = timeout_at(limit, AssertUnwindSafe(loader).catch_unwind()).await;
        let took = began.elapsed();
        counters.load_nanos.add(nanos(took));
        let completion = match ended {
            Ok(Ok(Ok(result))) => return Ok((result, took)),
            Ok(Ok(Err(error))) => Completion::Failed(error),
            Ok(Err(_panic)) => {
                counters.load_panics.one();
                Completion::Panicked
            }
            Err(_) => {
                counters.timeouts.one();
                Completion::TimedOut
            }
        };
        counters.load_errors.one();
        Err(completion)
    }

    /// Ends a failed load: with a value at hand, that value answers and no load is tried for a
    /// while. Otherwise all waiters get the error.
    fn fail(&self, completion: Completion<V>) {
        let inner = &self.guard.inner;
        let now = inner.clock.now();
        let standby = match &self.known {
            Known::Fresh(entry) => Some((entry, CacheSource::L1)),
            Known::Stale(entry) => Some((entry, CacheSource::Stale)),
            Known::Unverified(_) | Known::Nothing => None,
        }
        .filter(|(entry, _)| now < entry.stamps.stale_until());
        let Some((entry, source)) = standby else { return self.guard.complete(completion) };
        // The hold-off starts now. The expiry may be long past, and the loader would run at once.
        let held = Entry { stamps: entry.stamps.held(now, nanos(inner.policy.hold_off)), ..entry.clone() };
        self.guard.store_and_complete(&held, source);
    }

    /// Ends a successful load: stores the value in both levels as far as it may be stored.
    async fn succeed(&self, loaded: Loaded<V>, took: Duration) {
        let CompletionGuard { inner, key, .. } = &self.guard;
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
            return self.guard.complete(Completion::Found(entry, CacheSource::Loaded));
        }
        let stored = self.guard.store_and_complete(&entry, CacheSource::Loaded);
        if stored && self.begun.elapsed() > inner.policy.write_limit() {
            return inner.counters.late_writes.one();
        }
        if let (true, Some(second), Some(json), Some(seen)) = (stored, &inner.second, json, &self.seen) {
            inner.write_back(second, key, &entry, &json, seen).await;
        }
    }
}
