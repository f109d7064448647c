//! The cache as its users meet it: look into memory, else take a seat on the flight that loads the key.

use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    InsertError, Key, LoadError, Loaded, Lookup, Options, Reach, Source, Statistics, inner::Inner,
    known::Known, tag::Tag,
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

impl<V> Cache<V> {
    /// The name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
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
            && let ControlFlow::Break(hit) = self.inner.look_up(key)
        {
            return Ok(self.inner.serve_hit(key, hit));
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
        let known = match inner.look_up(key) {
            ControlFlow::Break(hit) => return Ok(inner.serve_hit(key, hit)),
            ControlFlow::Continue(Known::Fresh(entry)) => {
                inner.refresh(key, options, &entry, loader);
                return Ok(inner.serve(key, &entry, Source::L1, true));
            }
            ControlFlow::Continue(known) => known,
        };
        // Boxed, so that the future of a hit does not have the size of a load.
        Box::pin(inner.load(key, options, known, loader)).await
    }

    /// The value of a key if either level has it. Never loads.
    pub async fn get(&self, key: &Key) -> Option<Lookup<V>> {
        let inner = &self.inner;
        let known = match inner.look_up(key) {
            ControlFlow::Break(hit) => return Some(inner.serve_hit(key, hit)),
            ControlFlow::Continue(Known::Fresh(entry)) => {
                return Some(inner.serve(key, &entry, Source::L1, false));
            }
            ControlFlow::Continue(known) => known,
        };
        let fallback = known.fallback().map(|entry| (entry, Source::Stale));
        let Some((entry, source)) = inner.read(key, known).await.or(fallback) else {
            inner.counters.misses.one();
            return None;
        };
        Some(inner.serve(key, &entry, source, false))
    }

    /// The fresh value of a key if this process's memory has it. Waits for nothing and allocates nothing. Only a hit is
    /// counted.
    #[inline]
    pub fn peek(&self, key: &Key) -> Option<Lookup<V>> {
        match self.inner.look_up(key) {
            ControlFlow::Break(hit) if hit.source == Source::L1 => Some(self.inner.serve_hit(key, hit)),
            ControlFlow::Continue(Known::Fresh(entry)) => {
                Some(self.inner.serve(key, &entry, Source::L1, false))
            }
            _ => None,
        }
    }

    /// Stores a value in both levels, and makes the other instances forget theirs. A load under way does not
    /// overwrite it.
    ///
    /// # Errors
    /// [`InsertError`] for a value that cannot be kept. The key is removed then: its old value is not to stand for the new
    /// one.
    pub async fn insert(&self, key: &Key, value: impl Into<Loaded<V>>) -> Result<Reach, InsertError> {
        Inner::insert(&self.inner, key, value.into()).await
    }

    /// Removes a key from both levels and from every instance. A load under way is not kept.
    ///
    /// This and the other removals are carried out to their end even if the caller leaves.
    pub async fn remove(&self, key: &Key) -> Reach {
        Inner::remove(&self.inner, key).await
    }

    /// Removes every value with this tag from both levels and from every instance, however many there are, without
    /// searching them.
    pub async fn remove_by_tag(&self, name: &str) -> Reach {
        Inner::remove_by_tag(&self.inner, Tag::new(name)).await
    }

    /// Removes everything from both levels and from every instance, without searching it.
    pub async fn clear(&self) -> Reach {
        Inner::clear(&self.inner).await
    }

    /// Waits until the loads under way have ended and are written to the second level, for at most `deadline`: before a
    /// process ends, so that what it paid for is kept. Returns whether all have.
    pub async fn drain(&self, deadline: Duration) -> bool {
        timeout(deadline, self.inner.single_flight.none_under_way()).await.is_ok()
    }

    /// The counters so far.
    pub fn statistics(&self) -> Statistics {
        let inner = &self.inner;
        Statistics {
            name: inner.name.to_string(),
            entries: inner.memory.len() as u64,
            bytes: inner.memory.bytes(),
            max_bytes: inner.policy.max_bytes,
            evictions: inner.memory.evictions(),
            in_flight: inner.single_flight.under_way() as u64,
            ..inner.counters.snapshot(inner.policy.cost_per_load_micros)
        }
    }
}
