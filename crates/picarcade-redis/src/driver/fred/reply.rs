//! Converts replies and errors of fred.

use bytes::Bytes;
use fred::{
    error::{Error as FredError, ErrorKind},
    types::Value as FredValue,
};

use crate::{Error, Value};

pub(super) fn bytes_of(value: FredValue) -> Result<Option<Bytes>, Error> {
    match value {
        FredValue::Bytes(bytes) => Ok(Some(bytes)),
        FredValue::String(text) => Ok(Some(text.into_inner())),
        FredValue::Null => Ok(None),
        _ => Err(Error::unexpected("GET")),
    }
}

pub(super) fn count_of(value: FredValue) -> Result<u64, Error> {
    convert(value).as_int().map(i64::unsigned_abs)
}

pub(super) fn convert(value: FredValue) -> Value {
    match value {
        FredValue::Integer(number) => Value::Int(number),
        FredValue::Boolean(truth) => Value::Int(truth.into()),
        FredValue::Double(number) => Value::Bytes(number.to_string().into()),
        FredValue::String(text) => Value::Bytes(text.into_inner()),
        FredValue::Bytes(bytes) => Value::Bytes(bytes),
        FredValue::Array(values) => Value::Array(values.into_iter().map(convert).collect()),
        _ => Value::Nil,
    }
}

/// Returns the first word of a server message if it is an error code.
pub(super) fn code(error: &FredError) -> Option<&str> {
    let first = error.details().split_whitespace().next()?;
    let is_code = first.len() >= 2 && first.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    is_code.then_some(first)
}

/// Returns the kind of a fred error, without its text.
pub(super) fn error_kind(error: &FredError) -> Error {
    match error.kind() {
        ErrorKind::Timeout => Error::Timeout,
        ErrorKind::Tls => Error::Tls,
        ErrorKind::Auth => Error::Auth,
        ErrorKind::Backpressure => Error::Overloaded,
        // A failed handshake arrives as text only: rustls wraps its errors in this I/O error.
        ErrorKind::IO if error.details().contains("kind: InvalidData") => Error::Tls,
        ErrorKind::IO if error.details().contains("refused") => Error::Refused,
        ErrorKind::IO | ErrorKind::Canceled => Error::Lost,
        ErrorKind::Routing | ErrorKind::Sentinel => Error::Refused,
        _ => match code(error) {
            Some(code) => Error::from_code(code),
            None => Error::unexpected("client"),
        },
    }
}
