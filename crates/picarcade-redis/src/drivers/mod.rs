//! The libraries behind the trait, one file each.

#[cfg(feature = "redis")]
pub(crate) mod redis_rs;
