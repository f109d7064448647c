//! Content codings of responses: gzip, deflate and Brotli.
//!
//! Gateways compress, some of them without being asked, so the client states what it decodes and
//! decodes what comes. The limit is on decoded bytes: a few kilobytes can decode to gigabytes.
//! Decoding starts when the whole body is there, because bodies are small and the limit holds for
//! the encoded bytes as well.

use std::io::Read;

use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};

/// The value of `accept-encoding`.
pub(super) const ACCEPTED: &str = "gzip, deflate, br";

/// How many codings may be on top of each other.
const MAX_CODINGS: usize = 3;

/// The buffer of the Brotli decoder, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// The first bytes of gzip. No JSON text begins with them.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// It decodes to more bytes than the limit.
    TooLarge,
    /// It is damaged or ends early.
    Broken,
}

/// Decodes a body whose `content-encoding` lists `codings`, to at most `limit` bytes.
///
/// Header fields are not trusted alone: proxies decode a body and leave the field, or remove the
/// field and leave the body. A body that already is JSON stays as it is, and one that begins like
/// gzip is gzip. An unknown coding, such as `utf-8` or `none`, changes nothing.
pub(super) fn decode(codings: &str, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Undecodable> {
    let mut body = body;
    let codings: Vec<&str> = codings.split(',').map(str::trim).collect();
    for coding in codings.iter().rev().take(MAX_CODINGS) {
        body = match coding.to_ascii_lowercase().as_str() {
            "br" | "deflate" if is_json(&body) => body,
            "br" => brotli(&body, limit)?,
            "deflate" => deflate(&body, limit)?,
            "gzip" | "x-gzip" if body.starts_with(&GZIP_MAGIC) => gzip(&body, limit)?,
            _ => body,
        };
    }
    if body.starts_with(&GZIP_MAGIC) { gzip(&body, limit) } else { Ok(body) }
}

/// Whether a body is JSON already, by its ends.
fn is_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii(), [b'{', .., b'}'] | [b'[', .., b']'])
}

/// Decodes each member of a gzip file. What follows the last one is padding: `gzip` and browsers
/// ignore it too.
fn gzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Undecodable> {
    let (mut decoded, mut rest) = (Vec::new(), body);
    while rest.starts_with(&GZIP_MAGIC) {
        let mut member = GzDecoder::new(rest);
        decoded.extend(bounded(&mut member, limit - decoded.len())?);
        rest = member.into_inner();
    }
    Ok(decoded)
}

/// `deflate` means the zlib format, and some servers send the raw one.
fn deflate(body: &[u8], limit: usize) -> Result<Vec<u8>, Undecodable> {
    match bounded(ZlibDecoder::new(body), limit) {
        Err(Undecodable::Broken) => bounded(DeflateDecoder::new(body), limit),
        decoded => decoded,
    }
}

fn brotli(body: &[u8], limit: usize) -> Result<Vec<u8>, Undecodable> {
    // The extension for windows of up to 1 GiB is not part of the content coding, and the decoder
    // reserves the window before it decodes anything.
    let is_large_window = body.first().is_some_and(|first| first & 0x7f == 0x11);
    if is_large_window {
        return Err(Undecodable::Broken);
    }
    bounded(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER), limit)
}

fn bounded(decoder: impl Read, limit: usize) -> Result<Vec<u8>, Undecodable> {
    let mut decoded = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut decoded);
    match read {
        _ if decoded.len() > limit => Err(Undecodable::TooLarge),
        Ok(_) => Ok(decoded),
        Err(_) => Err(Undecodable::Broken),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"{\"a\": 1}";

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlibbed(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflated(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_decoded_whatever_the_header_says() {
        for (codings, body) in [
            ("", TEXT.to_vec()),
            ("identity", TEXT.to_vec()),
            ("utf-8", TEXT.to_vec()),
            ("gzip", gzipped(TEXT)),
            ("X-GZIP", gzipped(TEXT)),
            ("", gzipped(TEXT)),
            ("gzip", TEXT.to_vec()),
            ("deflate", zlibbed(TEXT)),
            ("deflate", deflated(TEXT)),
            ("deflate", TEXT.to_vec()),
            ("br", TEXT.to_vec()),
            ("deflate, gzip", gzipped(&zlibbed(TEXT))),
            ("gzip, gzip", gzipped(&gzipped(TEXT))),
            ("gzip", [gzipped(b"{\"a\""), gzipped(b": 1}")].concat()),
            ("gzip", [gzipped(TEXT), vec![0; 512]].concat()),
            ("", [gzipped(TEXT), b"\r\n".to_vec()].concat()),
        ] {
            assert_eq!(decode(codings, body, 100).as_deref(), Ok(TEXT), "{codings}");
        }
    }

    #[test]
    fn brotli_is_decoded() {
        assert_eq!(decode("br", stored_brotli(TEXT), 100).as_deref(), Ok(TEXT));
        assert_eq!(decode("gzip, br", stored_brotli(&gzipped(TEXT)), 100).as_deref(), Ok(TEXT));
        assert_eq!(decode("br", stored_brotli(TEXT), 7), Err(Undecodable::TooLarge));
        assert_eq!(decode("br", vec![0x11; 100], 100), Err(Undecodable::Broken));
    }

    #[test]
    fn decoded_bytes_are_limited() {
        let bomb = vec![b' '; 8 << 20];
        for (codings, body) in [("gzip", gzipped(&bomb)), ("deflate", zlibbed(&bomb)), ("", gzipped(&bomb))] {
            assert!(body.len() < 64 << 10);
            assert_eq!(decode(codings, body, 1 << 20), Err(Undecodable::TooLarge), "{codings}");
        }
        let nested = gzipped(&gzipped(&bomb));
        assert_eq!(decode("gzip, gzip", nested, 1 << 20), Err(Undecodable::TooLarge));
    }

    #[test]
    fn bodies_that_end_early_are_broken() {
        for (codings, body) in
            [("gzip", gzipped(TEXT)), ("deflate", zlibbed(TEXT)), ("br", stored_brotli(TEXT))]
        {
            let cut = body[..body.len() - 3].to_vec();
            assert_eq!(decode(codings, cut, 100), Err(Undecodable::Broken), "{codings}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_decoded_within_the_limit(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            for codings in ["gzip", "deflate", "br", "br, deflate, gzip"] {
                if let Ok(decoded) = decode(codings, body.clone(), 1_000) {
                    prop_assert!(decoded.len() <= 1_000);
                }
            }
        }
    }

    /// Stores text in one uncompressed block of Brotli.
    fn stored_brotli(text: &[u8]) -> Vec<u8> {
        let header = (u32::try_from(text.len()).unwrap() - 1) << 4 | 1 << 20;
        let mut body = header.to_le_bytes()[..3].to_vec();
        body.extend_from_slice(text);
        body.push(3);
        body
    }
}
