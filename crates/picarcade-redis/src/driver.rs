//! The small trait between the handle and a Redis library.
//!
//! A driver is **one connection's worth** of Redis: it does what it is told, under no deadline, retry or
//! reconnection of its own. Deadlines, health, fail-over and prefixes are the handle's, so they are the same for
//! every library. Contract, which `tests/it/conformance.rs` runs against every driver and every topology:
//!
//! - futures may be dropped at any time; a dropped command may or may not be executed;
//! - a broken connection answers [`Error::Lost`] or [`Error::Refused`] soon; it never blocks for ever on purpose;
//! - keys of one call may live on different cluster nodes, except in [`Driver::eval`], where the caller makes
//!   them share a slot by a hash tag;
//! - nothing is logged that holds keys, values or credentials.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Error, Script, Value};

/// When a write happens.
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
    /// The value of a key; `None` when there is none.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The value and the time it still has to live (`None`: for ever).
    async fn get_with_ttl(&self, key: &[u8]) -> Result<Option<(Bytes, Option<Duration>)>, Error>;

    /// The values of many keys, in order. Where all keys live on one server that is one command, to which a key of another
    /// type than string is a missing one.
    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error>;

    /// Writes a value; `ttl` is rounded up to whole milliseconds, `None` is for ever. Returns whether the
    /// condition held.
    async fn set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        condition: Condition,
    ) -> Result<bool, Error>;

    /// Deletes keys and returns how many there were.
    async fn delete(&self, keys: &[Bytes]) -> Result<u64, Error>;

    /// Runs a script by its hash, sending its source when the server does not know it.
    async fn eval(&self, script: &Script, keys: &[Bytes], args: &[Bytes]) -> Result<Value, Error>;

    /// Publishes a message and returns how many subscribers of this server got it.
    async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<u64, Error>;

    /// Listens to a channel on a connection of its own. When the receiver ends, the connection was lost and
    /// messages may have been missed.
    async fn subscribe(&self, channel: &[u8]) -> Result<mpsc::Receiver<Bytes>, Error>;

    /// Asks for a sign of life.
    async fn ping(&self) -> Result<(), Error>;

    /// A section of `INFO` (of one node, in a cluster).
    async fn info(&self, section: &str) -> Result<String, Error>;

    /// Deletes every key that begins with `prefix` (on every node), by scanning. Slow: for recovery only.
    async fn purge(&self, prefix: &[u8]) -> Result<u64, Error>;
}

/// Milliseconds for `PX`: at least 1, rounded up, within what Redis accepts.
#[cfg(any(feature = "redis", feature = "fred"))]
pub(crate) fn milliseconds(ttl: Duration) -> u64 {
    let millis = ttl.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 4)
}

/// A pattern for `SCAN MATCH` that means this prefix literally.
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
