#![doc = include_str!("../README.md")]

mod ask;
mod builder;
mod cache;
mod clock;
mod entry;
mod envelope;
mod error;
mod event;
mod fetch;
mod fleet;
mod flight;
mod inner;
mod invalidate;
mod key;
mod landing;
mod lease;
mod load;
mod look;
mod lookup;
mod memoize;
mod memory;
mod message;
#[cfg(feature = "metrics")]
mod metrics;
mod policy;
mod remote;
mod second_level;
mod statistics;
mod tags;
mod write_back;

pub use builder::Builder;
pub use cache::Cache;
pub use clock::Clock;
pub use error::{ConfigError, InsertError, LoadError, RemoteError};
pub use event::Event;
pub use key::{Key, KeyBuilder};
pub use lookup::{Loaded, Lookup, Options, Reach, Source};
pub use memoize::{Memoized, memoize};
#[cfg(any(feature = "redis", feature = "fred"))]
pub use remote::RedisRemote;
pub use remote::{Generation, InMemoryRemote, Mark, REPLAY_WINDOW, Record, Remote, RemoteEvent};
pub use statistics::Statistics;
pub use tags::Tag;
