//! The second level, which instances share: the trait that it implements, its implementations, and
//! the reading and writing of entries.

pub(crate) mod remote;

#[cfg(any(feature = "redis", feature = "fred"))]
pub(crate) mod redis;

#[cfg(feature = "disk")]
pub(crate) mod disk;

pub(crate) mod envelope;
pub(crate) mod lease;
pub(crate) mod read;
pub(crate) mod second_level;
pub(crate) mod write;
