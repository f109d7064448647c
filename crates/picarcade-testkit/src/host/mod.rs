//! What every server needs of the machine: a runtime of its own, a directory, a port, a process that is watched.

pub(crate) mod account;
pub(crate) mod family;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod runtime;
pub(crate) mod scratch;
pub(crate) mod watchdog;
