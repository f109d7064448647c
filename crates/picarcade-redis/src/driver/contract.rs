//! The traits between the handle and a Redis library.
//!
//! A driver is **one connection** to Redis. It runs commands without deadlines, retries or
//! reconnection of its own. Deadlines, health, fail-over and prefixes belong to the handle, so they
//! are the same for every library. `tests/it/conformance.rs` runs this contract against every
//! driver and every topology:
//!
//! - futures may be dropped at any time; a dropped command may or may not be executed;
//! - a broken connection soon returns [`Error::Lost`] or [`Error::Refused`]; it never blocks for
//!   ever;
//! - keys of one call may live on different cluster nodes, except in [`Driver::eval`], where a hash
//!   tag of the caller makes them share a slot;
//! - nothing that contains keys, values or credentials is logged.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Cause, Error, Script, Value};

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Always.
    #[default]
    Always,
    /// Only if the key does not exist (`NX`).
    Absent,
    /// Only if the key exists (`XX`).
    Present,
}

/// One connection (or one set of connections to a cluster) to Redis.
#[async_trait]
pub trait Driver: Send + Sync + fmt::Debug + 'static {
    /// Returns the value of a key, or `None` without a value.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Returns the values of many keys in order. If all keys live on one server, this is one
    /// command. A key of another type than string counts as missing.
    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error>;

    /// Writes a value. `ttl` is rounded up to whole milliseconds; `None` means no expiry. Returns
    /// whether the condition held.
    async fn set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        condition: Condition,
    ) -> Result<bool, Error>;

    /// Deletes keys and returns how many existed.
    async fn delete(&self, keys: &[Bytes]) -> Result<u64, Error>;

    /// Runs a script by its hash. Sends its source if the server does not know it.
    async fn eval(&self, script: &Script, keys: &[Bytes], args: &[Bytes]) -> Result<Value, Error>;

    /// Publishes a message and returns how many subscribers of this server received it.
    async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<u64, Error>;

    /// Subscribes to a channel on a separate connection. The receiver ends when the connection is
    /// lost, and messages may have been missed.
    async fn subscribe(&self, channel: &[u8]) -> Result<mpsc::Receiver<Bytes>, Error>;

    /// Sends a `PING`.
    async fn ping(&self) -> Result<(), Error>;

    /// Returns a section of `INFO` (of one node in a cluster).
    async fn info(&self, section: &str) -> Result<String, Error>;

    /// Deletes every key that begins with `prefix` on every node, by scanning. Slow: for recovery
    /// only.
    async fn purge(&self, prefix: &[u8]) -> Result<u64, Error>;
}

/// Creates connections to one endpoint. The handle calls it, under its own deadline, at the start
/// and whenever a connection must be replaced.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug + 'static {
    /// Connects, authenticates, and resolves masters or slots again.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Refused`], [`Error::Auth`], [`Error::Tls`] or [`Error::Protocol`], by
    /// cause.
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error>;

    /// Returns why [`Connector::connect`] failed with this error. The default is the cause that the
    /// error has.
    async fn explain(&self, error: &Error) -> Cause {
        error.cause()
    }
}

/// A connection that the user created, and whose client reconnects by itself.
#[derive(Debug)]
pub(crate) struct FixedDriver(pub(crate) Arc<dyn Driver>);

#[async_trait]
impl Connector for FixedDriver {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        Ok(Arc::clone(&self.0))
    }
}

/// Returns milliseconds for `PX`: rounded up, at least 1, within the limits of Redis.
#[cfg(any(feature = "redis", feature = "fred"))]
pub(crate) fn milliseconds(ttl: Duration) -> u64 {
    let millis = ttl.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 4)
}

/// Returns a pattern for `SCAN MATCH` that matches this prefix literally.
#[cfg(any(feature = "redis", feature = "fred"))]
pub(crate) fn literal_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for &byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^' | b'-') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}
