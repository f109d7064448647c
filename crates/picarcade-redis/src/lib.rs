#![doc = include_str!("../README.md")]

// What a user calls and configures.
mod address;
mod config;
mod error;
mod handle;
mod script;
mod subscription;
mod value;

// Which endpoint a command uses.
mod routing;

// How a command reaches Redis.
mod driver;

pub use address::{Address, Credentials, Node, Topology};
pub use config::{Config, DriverKind};
pub use driver::contract::{Condition, Connector, Driver};
#[cfg(feature = "fred")]
pub use driver::fred::client::Fred;
#[cfg(feature = "redis")]
pub use driver::redis_rs::client::RedisRs;
pub use error::{ConfigError, Error, UnknownDriver};
pub use handle::{RedisHandle, Status};
pub use routing::failover::Role;
pub use script::Script;
pub use subscription::{Event, Subscription};
pub use value::Value;
