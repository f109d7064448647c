#![doc = include_str!("../README.md")]

mod builder;
mod cache;
mod clock;
mod entry;
mod envelope;
mod error;
mod fleet;
mod flight;
mod invalidate;
mod key;
mod load;
mod lookup;
mod memoize;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod policy;
mod remote;
mod second_level;
mod statistics;
mod tags;

pub use builder::Builder;
pub use cache::Cache;
pub use clock::Clock;
pub use error::{ConfigError, LoadError, RemoteError};
pub use key::{Key, KeyBuilder};
pub use lookup::{Loaded, Lookup, Options, Reach, Source};
pub use memoize::{Memoized, memoize};
#[cfg(any(feature = "redis", feature = "fred"))]
pub use remote::RedisRemote;
pub use remote::{Generation, InMemoryRemote, Mark, Record, Remote, RemoteEvent};
pub use statistics::Statistics;
pub use tags::Tag;
