//! The fred driver.

pub(crate) mod client;
pub(crate) mod connect;
mod connected;
mod reply;
