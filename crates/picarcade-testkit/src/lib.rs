#![doc = include_str!("../README.md")]

mod error;
mod host;
mod redis;

pub use error::{Error, Result};
pub use redis::{RedisBuilder, RedisServer, Value};
