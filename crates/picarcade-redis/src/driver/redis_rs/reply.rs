//! Converts replies and errors of redis-rs.

use std::sync::Arc;

use bytes::Bytes;
use redis::{Client, ConnectionAddr, ErrorKind, RedisError};

use crate::{Error, Value};

/// Returns clients of every master in an answer to `CLUSTER SLOTS`, with the settings of a known
/// one.
pub(super) fn masters(table: redis::Value, like: Option<&Client>) -> Vec<Client> {
    let (redis::Value::Array(ranges), Some(like)) = (table, like) else { return Vec::new() };
    let mut addresses: Vec<(String, u16)> = ranges
        .into_iter()
        .filter_map(|range| {
            // A range is: first slot, last slot, [host, port, ...] of the master, replicas.
            let redis::Value::Array(mut fields) = range else { return None };
            if fields.len() < 3 {
                return None;
            }
            let redis::Value::Array(master) = fields.swap_remove(2) else { return None };
            let mut master = master.into_iter();
            let host = redis::from_redis_value(master.next()?).ok()?;
            let port = redis::from_redis_value(master.next()?).ok()?;
            Some((host, port))
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let info = like.get_connection_info();
    addresses
        .into_iter()
        .filter_map(|(host, port)| {
            let addr = match info.addr().clone() {
                ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                    ConnectionAddr::TcpTls { host, port, insecure, tls_params }
                }
                _ => ConnectionAddr::Tcp(host, port),
            };
            Client::open(info.clone().set_addr(addr)).ok()
        })
        .collect()
}

pub(super) fn count_of(value: redis::Value) -> Result<u64, Error> {
    // A command to several nodes may answer with one number each.
    match convert(value) {
        Value::Array(values) => values.iter().map(|v| v.as_int().map(i64::unsigned_abs)).sum(),
        value => value.as_int().map(i64::unsigned_abs),
    }
}

pub(super) fn bytes_of(value: redis::Value) -> Result<Option<Bytes>, Error> {
    match value {
        redis::Value::BulkString(bytes) => Ok(Some(bytes.into())),
        redis::Value::Nil => Ok(None),
        _ => Err(Error::unexpected("GET")),
    }
}

pub(super) fn convert(value: redis::Value) -> Value {
    match value {
        redis::Value::Int(number) => Value::Int(number),
        redis::Value::BulkString(bytes) => Value::Bytes(bytes.into()),
        redis::Value::SimpleString(text) | redis::Value::VerbatimString { text, .. } => {
            Value::Bytes(text.into())
        }
        redis::Value::Okay => Value::Bytes(Bytes::from_static(b"OK")),
        redis::Value::Array(values) | redis::Value::Set(values) => {
            Value::Array(values.into_iter().map(convert).collect())
        }
        redis::Value::Map(pairs) => {
            Value::Array(pairs.into_iter().flat_map(|(key, value)| [convert(key), convert(value)]).collect())
        }
        redis::Value::Double(number) => Value::Bytes(number.to_string().into()),
        redis::Value::Boolean(truth) => Value::Int(truth.into()),
        _ => Value::Nil,
    }
}

/// Returns the kind of a redis-rs error, without its text.
pub(super) fn error_kind(error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::AuthenticationFailed => Error::Auth,
        ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound => Error::Refused,
        ErrorKind::Io if error.is_timeout() => Error::Timeout,
        ErrorKind::Io if error.is_connection_refusal() => Error::Refused,
        ErrorKind::Io if is_tls(error) => Error::Tls,
        ErrorKind::Io => Error::Lost,
        _ => match error.code() {
            Some(code) => Error::from_code(code),
            None if error.is_unrecoverable_error() => Error::Lost,
            None => Error::unexpected("client"),
        },
    }
}

/// TLS failures arrive as I/O errors that wrap an error of rustls, inside an `Arc` that is the
/// source of the library's error.
fn is_tls(error: &RedisError) -> bool {
    type Shared = Arc<dyn std::error::Error + Send + Sync>;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Shared>());
    source
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .and_then(std::io::Error::get_ref)
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}
