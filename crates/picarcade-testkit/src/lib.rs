#![doc = include_str!("../README.md")]

mod error;
mod host;
mod metrics;
mod mock;
mod postgres;
mod proxy;
mod redis;
mod tls;
mod wait;

pub use self::metrics::RecordedMetrics;
pub use error::{Error, Result};
pub use mock::{Answer, Answers, Coding, Dialect, MockProvider, OutputShape, PredictionEnd, Reply, Request};
pub use postgres::{PgBouncer, PostgresBuilder, PostgresServer};
pub use proxy::{Fault, FaultProxy};
pub use redis::{RedisBuilder, RedisCluster, RedisClusterBuilder, RedisSentinel, RedisServer, Value};
pub use wait::{eventually, stay_within_one_day};
