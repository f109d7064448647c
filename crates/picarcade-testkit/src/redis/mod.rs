//! Real Redis: one server, with or without a password, TLS or a primary; a Cluster; a primary with Sentinels.

mod builder;
mod resp;
mod server;
mod wire;

pub use builder::RedisBuilder;
pub use resp::Value;
pub use server::RedisServer;
