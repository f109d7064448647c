//! One row on disk: the length and the CRC-32 of the rest, both little-endian, then the row as
//! JSON.
//!
//! The checksum distinguishes a complete row from a torn or changed one. A damaged row with a
//! plausible length is skipped, and reading continues after it. Counting rows reads only the
//! checksums and not the JSON, because a service that starts with a full spool waits for it.

use std::io::Read;

use crate::Error;
use crate::record::Record;

const PREFIX: usize = 8;
/// Longer frames are invalid: a prompt has at most 8,000 characters.
const LONGEST: u32 = 16 << 20;

pub(crate) enum Frame {
    /// A row, and its bytes on disk.
    Record(Box<Record>, u64),
    /// Bytes that are no row.
    Damaged(u64),
    /// Nothing complete follows.
    End,
}

/// Appends the frame of `record`.
pub(crate) fn write(into: &mut Vec<u8>, record: &Record) -> Result<(), Error> {
    let start = into.len();
    into.extend_from_slice(&[0; PREFIX]);
    let encoded = record.encode(into);
    let too_long = Error::Corrupt { what: "event" };
    let Some((prefix, payload)) = into.get_mut(start..).and_then(|frame| frame.split_at_mut_checked(PREFIX))
    else {
        return Err(too_long);
    };
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= LONGEST).ok_or(too_long)?;
    let (for_length, for_checksum) = prefix.split_at_mut(4);
    for_length.copy_from_slice(&length.to_le_bytes());
    for_checksum.copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    encoded
}

pub(crate) fn next(from: &mut impl Read) -> Frame {
    match payload(from) {
        Payload::Sound(payload) => match Record::decode(&payload) {
            Ok(record) => Frame::Record(Box::new(record), size(payload.len())),
            Err(_) => Frame::Damaged(size(payload.len())),
        },
        Payload::Damaged(length) => Frame::Damaged(size(length)),
        Payload::End => Frame::End,
    }
}

/// Returns whether the next frame is valid, and its bytes on disk; `None` if nothing complete
/// follows.
pub(crate) fn skip(from: &mut impl Read) -> Option<(bool, u64)> {
    match payload(from) {
        Payload::Sound(payload) => Some((true, size(payload.len()))),
        Payload::Damaged(length) => Some((false, size(length))),
        Payload::End => None,
    }
}

enum Payload {
    Sound(Vec<u8>),
    Damaged(usize),
    End,
}

fn payload(from: &mut impl Read) -> Payload {
    let (mut length, mut checksum) = ([0; 4], [0; 4]);
    if from.read_exact(&mut length).is_err() || from.read_exact(&mut checksum).is_err() {
        return Payload::End;
    }
    let (length, checksum) = (u32::from_le_bytes(length), u32::from_le_bytes(checksum));
    if length == 0 || length > LONGEST {
        return Payload::End;
    }
    let mut payload = vec![0; length as usize];
    if from.read_exact(&mut payload).is_err() {
        return Payload::End;
    }
    if crc32fast::hash(&payload) == checksum {
        Payload::Sound(payload)
    } else {
        Payload::Damaged(payload.len())
    }
}

const fn size(payload: usize) -> u64 {
    (PREFIX + payload) as u64
}
