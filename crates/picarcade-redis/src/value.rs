//! What a script can answer, the same from every driver.
//!
//! Only the shapes that Lua scripts can return are here (integers, byte strings, arrays, nil, status lines);
//! everything else that RESP3 knows is turned into the nearest of them by the driver.

use bytes::Bytes;

use crate::Error;

/// A reply of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Lua `nil` or `false`.
    Nil,
    /// A Lua number, truncated to an integer as Redis does.
    Int(i64),
    /// A Lua string, or a status line.
    Bytes(Bytes),
    /// A Lua table's array part.
    Array(Vec<Value>),
}

impl Value {
    /// The integer, also when it came as its decimal text.
    ///
    /// # Errors
    /// [`Error::Protocol`] for any other shape.
    pub fn as_int(&self) -> Result<i64, Error> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::Bytes(bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Error::unexpected("a number was expected")),
            _ => Err(Error::unexpected("a number was expected")),
        }
    }

    /// The bytes; `None` for nil.
    ///
    /// # Errors
    /// [`Error::Protocol`] for a number or an array.
    pub fn as_bytes(&self) -> Result<Option<&Bytes>, Error> {
        match self {
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::Nil => Ok(None),
            _ => Err(Error::unexpected("a string was expected")),
        }
    }

    /// The elements.
    ///
    /// # Errors
    /// [`Error::Protocol`] for anything but an array.
    pub fn as_array(&self) -> Result<&[Value], Error> {
        match self {
            Self::Array(values) => Ok(values),
            _ => Err(Error::unexpected("an array was expected")),
        }
    }
}
