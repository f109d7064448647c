//! The server: accepts connections, serves each with timeouts, and drains them at a stop.

mod accept;
mod connection;
mod connection_limit;
mod forwarded;

mod drain_body;
mod guarded_body;
mod timeouts;
mod watched_io;

pub(crate) use accept::Server;
pub(crate) use connection_limit::ConnectionLimits;
pub(crate) use forwarded::TrustedProxies;
