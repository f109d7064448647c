//! What a caller gets, what a loader gives, and what a caller may ask for.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::tag::Tag;

/// A value and where it came from.
#[derive(Debug)]
pub struct Lookup<V> {
    /// The value, shared.
    pub value: Arc<V>,
    /// Where it came from.
    pub source: Source,
    /// How long ago it was loaded, by whichever instance.
    pub age: Duration,
    /// Whether a newer one is being loaded behind.
    pub refreshing: bool,
}

impl<V> Clone for Lookup<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This process's memory.
    L1,
    /// The second level.
    L2,
    /// Either level, past its time, because a load failed or takes long.
    Stale,
    /// A load, by this caller or by another one it waited for.
    #[serde(rename = "miss")]
    Loaded,
    /// A load that was told not to read the cache, or not to write it.
    Bypass,
}

impl Source {
    /// `l1`, `l2`, `stale`, `miss` or `bypass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Stale => "stale",
            Self::Loaded => "miss",
            Self::Bypass => "bypass",
        }
    }

    /// Whether no load was needed.
    pub fn is_hit(self) -> bool {
        matches!(self, Self::L1 | Self::L2 | Self::Stale)
    }
}

/// What a loader returns: the value, and how it is to be kept.
#[derive(Debug, Clone)]
pub struct Loaded<V> {
    pub(crate) value: V,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) store: bool,
    pub(crate) negative: bool,
}

impl<V> Loaded<V> {
    /// A value to be kept for the cache's time to live.
    pub fn new(value: V) -> Self {
        Self { value, ttl: None, tags: Vec::new(), store: true, negative: false }
    }

    /// Keeps it for this long instead (before jitter).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Marks it, so that [`Cache::remove_by_tag`](crate::Cache::remove_by_tag) removes it.
    ///
    /// A tag that is known before the load is better given by [`Options::tag`]: then an invalidation on *another*
    /// instance during the load is noticed even if its message is lost.
    #[must_use]
    pub fn tag(mut self, name: impl AsRef<str>) -> Self {
        self.tags.push(Tag::new(name.as_ref()));
        self
    }

    /// Returns it to those who wait, and keeps it nowhere: for fallbacks and answers of low confidence.
    #[must_use]
    pub fn no_store(mut self) -> Self {
        self.store = false;
        self
    }

    /// Says that this is the answer "there is none": kept for the negative time to live.
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

/// What a caller asks of one lookup.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) no_read: bool,
    pub(crate) no_write: bool,
    pub(crate) no_lease: bool,
    pub(crate) tags: Vec<Tag>,
}

impl Options {
    /// Loads without taking the key's lease, and without waiting for an instance that holds it. For
    /// a load that is known to cost less than a wait.
    #[must_use]
    pub fn no_lease(mut self) -> Self {
        self.no_lease = true;
        self
    }

    /// Does not look into the cache; the loaded value is kept (HTTP `no-cache`).
    #[must_use]
    pub fn no_read(mut self) -> Self {
        self.no_read = true;
        self
    }

    /// Does not keep the loaded value (HTTP `no-store`, together with [`Options::no_read`]).
    #[must_use]
    pub fn no_write(mut self) -> Self {
        self.no_write = true;
        self
    }

    /// Marks the value, should it be loaded, so that [`Cache::remove_by_tag`](crate::Cache::remove_by_tag)
    /// removes it.
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
    /// This process has it, and there is nobody else.
    Local,
    /// This process and the second level have it, and the other instances were told.
    Fleet,
    /// This process has it. The second level is not reachable, and will be told when it is.
    Queued,
}
