//! A minimal client for the Redis protocol (RESP2), to inspect a server without a client library:
//! the code under test must not produce what a test asserts.

use std::fmt;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `+OK`.
    Simple(String),
    /// `-ERR …`.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// A byte string.
    Bulk(Vec<u8>),
    /// No value.
    Nil,
    /// Several replies.
    Array(Vec<Self>),
}

impl fmt::Display for Value {
    /// Strings are shown unchanged, integers in decimal, missing values as `(nil)`, and arrays with
    /// one element per line.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) | Self::Error(text) => out.write_str(text),
            Self::Integer(number) => write!(out, "{number}"),
            Self::Bulk(bytes) => out.write_str(&String::from_utf8_lossy(bytes)),
            Self::Nil => out.write_str("(nil)"),
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.write_str("\n")?;
                    }
                    item.fmt(out)?;
                }
                Ok(())
            }
        }
    }
}

/// Encodes a command as an array of bulk strings.
pub(crate) fn encode(arguments: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Returns the first reply in `bytes` and its length, or `None` while it is incomplete.
///
/// # Errors
///
/// Describes why the bytes are no reply.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, String> {
    let mut cursor = Cursor { bytes, at: 0 };
    Ok(cursor.value()?.map(|value| (value, cursor.at)))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn value(&mut self) -> Result<Option<Value>, String> {
        let Some(line) = self.line() else { return Ok(None) };
        let Some((kind, rest)) = line.split_first() else { return Err("an empty line".to_owned()) };
        let text = || String::from_utf8_lossy(rest).into_owned();
        let number = || text().parse::<i64>().map_err(|_| format!("{:?} is no number", text()));
        Ok(Some(match kind {
            b'+' => Value::Simple(text()),
            b'-' => Value::Error(text()),
            b':' => Value::Integer(number()?),
            b'$' => match usize::try_from(number()?) {
                Err(_) => Value::Nil,
                Ok(length) => {
                    let Some(payload) = self.bytes.get(self.at..self.at + length) else { return Ok(None) };
                    if self.bytes.len() < self.at + length + 2 {
                        return Ok(None);
                    }
                    self.at += length + 2;
                    Value::Bulk(payload.to_vec())
                }
            },
            b'*' => match usize::try_from(number()?) {
                Err(_) => Value::Nil,
                Ok(length) => {
                    let mut items = Vec::new();
                    for _ in 0..length {
                        let Some(item) = self.value()? else { return Ok(None) };
                        items.push(item);
                    }
                    Value::Array(items)
                }
            },
            other => return Err(format!("a reply begins with {:?}", char::from(*other))),
        }))
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        rest.get(..end)
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, decode, encode};

    const ALL: &[u8] = b"*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n";

    #[test]
    fn every_kind_is_read() {
        let (value, length) = decode(ALL).unwrap().unwrap();
        assert_eq!(length, ALL.len());
        let expected = [
            Value::Simple("OK".to_owned()),
            Value::Error("ERR no".to_owned()),
            Value::Integer(-7),
            Value::Bulk(b"a\r\nb".to_vec()),
            Value::Nil,
            Value::Nil,
        ];
        assert_eq!(value, Value::Array(expected.to_vec()));
    }

    #[test]
    fn a_reply_in_pieces_is_awaited() {
        for end in 0..ALL.len() {
            assert_eq!(decode(&ALL[..end]).unwrap(), None, "{end}");
        }
    }

    #[test]
    fn another_protocol_is_an_error() {
        assert!(decode(b"HTTP/1.1 400 Bad Request\r\n").is_err());
        assert!(decode(b":x\r\n").is_err());
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        assert_eq!(encode(&["GET", "a b"]), b"*2\r\n$3\r\nGET\r\n$3\r\na b\r\n");
    }
}
