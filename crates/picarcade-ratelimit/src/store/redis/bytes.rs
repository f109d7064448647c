//! Numbers in the arguments and answers of the scripts.
//!
//! Every number is below 2^53, so it is the same whole number in Rust and in Lua. An answer whose
//! length does not follow from the request is an error, never a guess.

use super::layout::{DOUBLE, NUMBER};
use crate::Error;

/// Appends a whole number as a double.
pub(super) fn put_double(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&(number as f64).to_le_bytes());
}

/// Appends the lowest `width` bytes of a whole number.
pub(super) fn put(bytes: &mut Vec<u8>, number: u64, width: usize) {
    bytes.extend(number.to_le_bytes().iter().take(width));
}

/// Returns the double at the beginning of `bytes`.
pub(super) fn double(bytes: &[u8]) -> f64 {
    bytes.first_chunk().map_or(f64::NAN, |eight| f64::from_le_bytes(*eight))
}

/// Returns all doubles of an answer.
pub(super) fn doubles(bytes: &[u8]) -> Result<Vec<f64>, Error> {
    if !bytes.len().is_multiple_of(DOUBLE) {
        return Err(malformed_reply());
    }
    Ok(bytes.chunks_exact(DOUBLE).map(double).collect())
}

/// Returns the packed number at `offset`.
pub(super) fn number(bytes: &[u8], offset: usize) -> Option<u64> {
    let packed = bytes.get(offset..)?.first_chunk::<NUMBER>()?;
    let mut eight = [0; 8];
    eight.first_chunk_mut::<NUMBER>()?.copy_from_slice(packed);
    Some(u64::from_le_bytes(eight))
}

/// The error of an answer that no script of this store gives.
pub(super) fn malformed_reply() -> Error {
    Error::Unavailable { reason: "malformed reply of a script".to_owned() }
}
