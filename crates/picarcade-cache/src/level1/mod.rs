//! The first level: the memory of this process.

pub(crate) mod invalidations;
pub(crate) mod look;
pub(crate) mod memory;
