#![doc = include_str!("../README.md")]

mod address;
mod config;
mod connector;
mod driver;
mod drivers;
mod endpoint;
mod error;
mod failover;
mod gather;
mod handle;
mod journal;
mod router;
mod script;
mod status;
mod subscription;
mod value;

pub use address::{Address, Credentials, Node, Topology};
pub use config::{Config, DriverKind};
pub use connector::Connector;
pub use driver::{Condition, Driver};
#[cfg(feature = "fred")]
pub use drivers::fred::Fred;
#[cfg(feature = "redis")]
pub use drivers::redis_rs::RedisRs;
pub use error::{ConfigError, Error};
pub use failover::Role;
pub use handle::RedisHandle;
pub use script::Script;
pub use status::Status;
pub use subscription::{Event, Subscription};
pub use value::Value;
