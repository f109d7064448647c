//! The supported Redis libraries, one folder each.

#[cfg(feature = "fred")]
pub(crate) mod fred;
#[cfg(feature = "redis")]
pub(crate) mod redis_rs;
