#![doc = include_str!("../README.md")]

// What a user calls and configures.
mod address;
mod config;
mod error;
mod handle;
mod script;
mod status;
mod subscription;
mod value;

// Which endpoint a command uses.
mod routing;

// How a command reaches Redis.
mod driver;

pub use address::{Address, Credentials, Node, Topology};
pub use config::{Config, DriverKind};
pub use driver::connector::Connector;
pub use driver::contract::{Condition, Driver};
#[cfg(feature = "fred")]
pub use driver::fred::client::Fred;
#[cfg(feature = "redis")]
pub use driver::redis_rs::client::RedisRs;
pub use error::{ConfigError, Error, UnknownDriver};
pub use handle::RedisHandle;
pub use routing::failover::Role;
pub use script::Script;
pub use status::RedisStatus;
pub use subscription::{Subscription, SubscriptionEvent};
pub use value::Value;
