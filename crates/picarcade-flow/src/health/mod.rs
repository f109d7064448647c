//! The state of every component, from background checks and from the AI's calls.

pub(crate) mod ai;
pub(crate) mod budget;
pub(crate) mod check;
pub(crate) mod report;
pub(crate) mod watch;
