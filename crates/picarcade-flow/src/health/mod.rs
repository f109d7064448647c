//! The state of every component, from background checks.

pub(crate) mod check;
pub(crate) mod report;
pub(crate) mod watch;
