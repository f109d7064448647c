//! Real Redis: one server, with or without a password, TLS or a primary; a Cluster; a primary with
//! Sentinels.

mod builder;
mod cluster;
mod resp;
mod sentinel;
mod server;
mod wire;

pub use builder::RedisBuilder;
pub use cluster::{RedisCluster, RedisClusterBuilder};
pub use resp::Value;
pub use sentinel::RedisSentinel;
pub use server::RedisServer;
