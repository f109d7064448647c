//! What the instances of a fleet tell each other.

pub(crate) mod message;
