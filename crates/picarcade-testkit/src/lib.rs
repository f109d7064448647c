#![doc = include_str!("../README.md")]

mod day;
mod error;
mod eventually;
mod host;
mod metrics;
mod mock;
mod postgres;
mod proxy;
mod redis;

pub use self::metrics::RecordedMetrics;
pub use day::stay_within_one_day;
pub use error::{Error, Result};
pub use eventually::eventually;
pub use mock::{Answer, Answers, Coding, Dialect, MockProvider, OutputShape, PredictionEnd, Reply, Request};
pub use postgres::{PgBouncer, PostgresBuilder, PostgresServer};
pub use proxy::{Fault, FaultProxy};
pub use redis::{RedisBuilder, RedisCluster, RedisClusterBuilder, RedisSentinel, RedisServer, Value};
