//! The drivers: the contract with a Redis library, and the supported libraries, one folder each.

pub(crate) mod contract;

#[cfg(feature = "fred")]
pub(crate) mod fred;
#[cfg(feature = "redis")]
pub(crate) mod redis_rs;

pub(crate) mod choice;
