//! The types of a lookup: what a caller passes, what a loader returns, what a caller gets.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::tag::Tag;

/// A value and its source.
#[derive(Debug)]
pub struct Lookup<V> {
    /// The value, shared with the cache.
    pub value: Arc<V>,
    /// The source of the value.
    pub source: CacheSource,
    /// How long ago an instance loaded the value.
    pub age: Duration,
    /// Whether a load of a newer value is under way.
    pub refreshing: bool,
    /// What the load that this lookup avoided cost, in micro-dollars: the cost of the value, or 0
    /// if the value was loaded for this lookup.
    pub saved_micros: u64,
}

impl<V> Clone for Lookup<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheSource {
    /// The memory of this process.
    L1,
    /// The second level.
    L2,
    /// One of the levels, after the value expired, because a load failed or takes long.
    Stale,
    /// A load, by this caller or by another caller that it waited for.
    #[serde(rename = "miss")]
    Loaded,
    /// A load that did not read the cache, or did not write it.
    Bypass,
}

impl CacheSource {
    /// Returns `l1`, `l2`, `stale`, `miss` or `bypass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Stale => "stale",
            Self::Loaded => "miss",
            Self::Bypass => "bypass",
        }
    }

    /// Returns whether no load was needed.
    pub fn is_hit(self) -> bool {
        matches!(self, Self::L1 | Self::L2 | Self::Stale)
    }
}

/// The result of a loader: the value and how it is stored.
#[derive(Debug, Clone)]
pub struct Loaded<V> {
    pub(crate) value: V,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) store: bool,
    pub(crate) negative: bool,
}

impl<V> Loaded<V> {
    /// Creates a result that is stored for the time to live of the cache.
    pub fn new(value: V) -> Self {
        Self { value, ttl: None, tags: Vec::new(), store: true, negative: false }
    }

    /// Sets another time to live (before jitter).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag, so that [`Cache::remove_by_tag`](crate::Cache::remove_by_tag) removes the value.
    ///
    /// Prefer [`Options::tag`] for a tag that is known before the load: an invalidation by another
    /// instance during the load is then detected even if its message is lost.
    #[must_use]
    pub fn tag(mut self, name: impl AsRef<str>) -> Self {
        self.tags.push(Tag::new(name.as_ref()));
        self
    }

    /// Returns the value to the waiting callers without storing it. For fallbacks and answers of
    /// low confidence.
    #[must_use]
    pub fn no_store(mut self) -> Self {
        self.store = false;
        self
    }

    /// Marks the value as negative ("there is none"), which is stored for the negative time to
    /// live.
    #[must_use]
    pub fn negative(mut self) -> Self {
        self.negative = true;
        self
    }
}

impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

/// The options of one lookup.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) no_read: bool,
    pub(crate) no_write: bool,
    pub(crate) no_lease: bool,
    pub(crate) tags: Vec<Tag>,
}

impl Options {
    /// Loads without the lease of the key and without waiting for its holder. For a load that costs
    /// less than a wait.
    #[must_use]
    pub fn no_lease(mut self) -> Self {
        self.no_lease = true;
        self
    }

    /// Does not read the cache; the loaded value is stored (HTTP `no-cache`).
    #[must_use]
    pub fn no_read(mut self) -> Self {
        self.no_read = true;
        self
    }

    /// Does not store the loaded value (HTTP `no-store`, together with [`Options::no_read`]).
    #[must_use]
    pub fn no_write(mut self) -> Self {
        self.no_write = true;
        self
    }

    /// Adds a tag to the value if it is loaded, so that
    /// [`Cache::remove_by_tag`](crate::Cache::remove_by_tag) removes it.
    #[must_use]
    pub fn tag(mut self, name: impl AsRef<str>) -> Self {
        self.tags.push(Tag::new(name.as_ref()));
        self
    }
}

/// How far an invalidation got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// The change is complete in this process, and there are no other instances.
    Local,
    /// The change is complete in this process and in the second level, and its message was
    /// published.
    Fleet,
    /// The change is complete in this process. The second level is unreachable and gets the change
    /// when it is back.
    Queued,
}
