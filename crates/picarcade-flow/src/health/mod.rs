//! The state of every component, from background checks.

pub(crate) mod report;
