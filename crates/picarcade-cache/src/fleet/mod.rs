//! Invalidation, in this process and in the other instances.

pub(crate) mod invalidate;
pub(crate) mod listener;
pub(crate) mod message;
