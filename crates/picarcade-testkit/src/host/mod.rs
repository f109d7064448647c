//! What every server needs from the machine: a runtime, a directory, a port, and a watched process.

pub(crate) mod account;
pub(crate) mod family;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod runtime;
pub(crate) mod scratch;
pub(crate) mod watchdog;
