//! The handle of a user: answers from memory, or leads or joins the load of the key.

use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    CacheSource, CacheStatistics, InsertError, Key, LoadError, Loaded, Lookup, Options, Reach,
    fleet::message::Message, inner::Inner, known::Known, single_flight::shared_load::Failure, tag::Tag,
};

/// A typed cache of two levels, which is called with a key and a loader. Clones share everything.
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
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
    /// Returns the value of a key from memory, else from the second level, else from `loader`. One
    /// loader runs per missing key, however many callers ask.
    ///
    /// The loader runs as a separate task: if this future is dropped, the load continues and its
    /// result is stored. A hit in memory allocates nothing.
    ///
    /// # Errors
    ///
    /// Returns a [`LoadError`] if there is no value, not even a stale one.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime if a load is needed.
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

    /// Like [`Cache::get_or_load`], with options for the lookup and for storing the value.
    ///
    /// # Errors
    ///
    /// Returns a [`LoadError`] if there is no value, not even a stale one.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime if a load is needed.
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
        let loader = async move { loader().await.map_err(|error| Arc::new(error) as Failure) };
        if options.no_read {
            return Box::pin(inner.bypass(key, options, loader)).await;
        }
        let known = match inner.look_up(key) {
            ControlFlow::Break(hit) => return Ok(inner.serve_hit(key, hit)),
            ControlFlow::Continue(Known::Fresh(entry)) => {
                inner.refresh(key, options, &entry, loader);
                return Ok(inner.serve(key, &entry, CacheSource::L1, true));
            }
            ControlFlow::Continue(known) => known,
        };
        // Boxed, so that the future of a hit does not have the size of a load.
        Box::pin(inner.load(key, options, known, loader)).await
    }

    /// Returns the value of a key if one of the levels has it. Never loads.
    pub async fn get(&self, key: &Key) -> Option<Lookup<V>> {
        let inner = &self.inner;
        let known = match inner.look_up(key) {
            ControlFlow::Break(hit) => return Some(inner.serve_hit(key, hit)),
            ControlFlow::Continue(Known::Fresh(entry)) => {
                return Some(inner.serve(key, &entry, CacheSource::L1, false));
            }
            ControlFlow::Continue(known) => known,
        };
        let fallback = known.fallback().map(|entry| (entry, CacheSource::Stale));
        let Some((entry, source)) = inner.read(key, known).await.or(fallback) else {
            inner.counters.misses.one();
            return None;
        };
        Some(inner.serve(key, &entry, source, false))
    }

    /// Returns the fresh value of a key if memory has it. Never waits and allocates nothing. Counts
    /// only hits.
    #[inline]
    pub fn peek(&self, key: &Key) -> Option<Lookup<V>> {
        match self.inner.look_up(key) {
            ControlFlow::Break(hit) if hit.source == CacheSource::L1 => Some(self.inner.serve_hit(key, hit)),
            ControlFlow::Continue(Known::Fresh(entry)) => {
                Some(self.inner.serve(key, &entry, CacheSource::L1, false))
            }
            _ => None,
        }
    }

    /// Stores a value in both levels and removes it from the memory of the other instances. A load
    /// under way does not overwrite it.
    ///
    /// # Errors
    ///
    /// Returns an [`InsertError`] for a value that cannot be stored. The key is then removed,
    /// because its old value must not answer for the new one.
    pub async fn insert(&self, key: &Key, value: impl Into<Loaded<V>>) -> Result<Reach, InsertError> {
        self.inner.insert(key, value.into()).await
    }

    /// Removes a key from both levels and from every instance. The result of a load under way is
    /// not stored.
    ///
    /// This and the other removals complete even if the caller leaves.
    pub async fn remove(&self, key: &Key) -> Reach {
        self.inner.invalidate(Message::Remove(*key)).await
    }

    /// Removes every value with this tag from both levels and from every instance. The cost does
    /// not depend on their number.
    pub async fn remove_by_tag(&self, name: &str) -> Reach {
        self.inner.invalidate(Message::Tag(Tag::new(name))).await
    }

    /// Removes all values from both levels and from every instance. The cost does not depend on
    /// their number.
    pub async fn clear(&self) -> Reach {
        self.inner.invalidate(Message::Clear).await
    }

    /// Waits until all loads under way have ended and their results are written to the second
    /// level, for at most `deadline`. Returns whether they have.
    ///
    /// Call it before the process ends, so that expensive results are not lost.
    pub async fn drain(&self, deadline: Duration) -> bool {
        timeout(deadline, self.inner.single_flight.none_under_way()).await.is_ok()
    }

    /// Returns the current counters.
    pub fn statistics(&self) -> CacheStatistics {
        let inner = &self.inner;
        CacheStatistics {
            name: inner.name.to_string(),
            entries: inner.memory.len() as u64,
            bytes: inner.memory.bytes(),
            max_bytes: inner.policy.max_bytes,
            evictions: inner.memory.evictions(),
            in_flight: inner.single_flight.under_way() as u64,
            ..inner.counters.snapshot()
        }
    }
}
