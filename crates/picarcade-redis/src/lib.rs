#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// What a user calls and configures.
mod address;
mod cause;
mod config;
mod error;
mod handle;
#[cfg(feature = "metrics")]
mod metrics;
mod script;
mod subscription;
mod value;

// Which endpoint a command uses.
mod routing;

// How a command reaches Redis.
mod driver;

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
pub use address::{Address, Credentials, Node, Topology};
pub use cause::Cause;
pub use config::{Config, DriverKind, UnknownDriver};
pub use driver::contract::{Condition, Connector, Driver};
#[cfg(feature = "fred")]
pub use driver::fred::client::Fred;
#[cfg(feature = "redis")]
pub use driver::redis_rs::client::RedisRs;
pub use error::{ConfigError, Error};
pub use handle::{RedisHandle, RedisStatus};
pub use routing::failover::Role;
pub use script::Script;
pub use subscription::{Subscription, SubscriptionEvent};
pub use value::Value;
