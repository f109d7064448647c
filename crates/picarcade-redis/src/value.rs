//! Replies of scripts, the same for every driver.
//!
//! The type covers the shapes that Lua scripts can return (integers, byte strings, arrays, nil,
//! status lines). A driver converts everything else of RESP3 to the nearest of them.

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
    /// The array part of a Lua table.
    Array(Vec<Value>),
}

impl Value {
    /// Returns the integer, also from its decimal text.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Protocol`] for any other shape.
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

    /// Returns the bytes; `None` for nil.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Protocol`] for a number or an array.
    pub fn as_bytes(&self) -> Result<Option<&Bytes>, Error> {
        match self {
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::Nil => Ok(None),
            _ => Err(Error::unexpected("a string was expected")),
        }
    }

    /// Returns the elements.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Protocol`] for anything except an array.
    pub fn as_array(&self) -> Result<&[Value], Error> {
        match self {
            Self::Array(values) => Ok(values),
            _ => Err(Error::unexpected("an array was expected")),
        }
    }
}
