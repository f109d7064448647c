//! The redis-rs driver, which is the default.

mod any_connection;
pub(crate) mod client;
pub(crate) mod connect;
mod reply;
