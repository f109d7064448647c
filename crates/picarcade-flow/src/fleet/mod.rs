//! The messages between the instances of a fleet.

pub(crate) mod apply;
pub(crate) mod message;
pub(crate) mod transport;
