//! The second level in Redis.

mod layout;
mod pending;
mod remote;

pub use remote::RedisRemote;
