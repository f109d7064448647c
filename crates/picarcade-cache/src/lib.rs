#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// What a user calls.
mod builder;
mod cache;
mod error;
mod key;
mod lookup;
mod memoize;
mod tag;

// What all clones of a cache share, and the pure parts.
mod clock;
mod entry;
mod inner;
mod known;
mod policy;
mod statistics;

// A lookup: memory, then the second level, then one load per key.
mod level1;
mod level2;
mod single_flight;

// Invalidation across instances.
mod fleet;

#[cfg(feature = "metrics")]
mod metrics;

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
pub use builder::Builder;
pub use cache::Cache;
pub use clock::Clock;
pub use error::{ConfigError, InsertError, KeyError, LoadError, RemoteError};
pub use key::{Key, KeyBuilder};
#[cfg(feature = "disk")]
pub use level2::disk::{DiskError, DiskRemote, DiskStatus};
#[cfg(any(feature = "redis", feature = "fred"))]
pub use level2::redis::RedisRemote;
pub use level2::remote::{KeyVersion, REPLAY_WINDOW, Record, Remote, RemoteEvent, Scope, TagVersion};
pub use lookup::{CacheSource, Loaded, Lookup, Options, Reach};
pub use memoize::{Memoized, memoize};
#[cfg(feature = "macros")]
#[doc = include_str!("cached.md")]
#[doc(inline)]
pub use picarcade_cache_macros::cached;
pub use statistics::CacheStatistics;
pub use tag::Tag;
