//! The server: accepts connections, serves each, and drains them at a stop.

mod accept;
mod connection_limit;
mod drain_body;
mod timeouts;

pub(crate) use accept::run;
pub(crate) use connection_limit::Limits;
