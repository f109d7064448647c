//! The first level: the memory of this process.

pub(crate) mod hit;
pub(crate) mod invalidations;
pub(crate) mod memory;
