//! Tables as spreadsheets write them: in UTF-16 or with a byte order mark, with semicolons or tabs,
//! and with headers in another spelling.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The separators of cells.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// How much of UTF-16 is decoded at a time, in bytes.
const CHUNK: usize = 8192;

/// Returns a reader of the same text in UTF-8 without a byte order mark.
///
/// Only a byte order mark tells UTF-16; other bytes are passed on as they are. What is not UTF-16
/// after such a mark becomes U+FFFD.
///
/// ```
/// use std::io::Read;
///
/// let mut text = String::new();
/// picarcade_intent::table::utf8(&b"\xff\xfea\0;\0"[..])?.read_to_string(&mut text)?;
/// assert_eq!(text, "a;");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Fails if the first bytes cannot be read.
pub fn utf8<'a>(mut reader: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut head = Vec::new();
    reader.by_ref().take(3).read_to_end(&mut head)?;
    let (mark, is_big_endian) = match *head {
        [0xef, 0xbb, 0xbf] => (3, None),
        [0xff, 0xfe, ..] => (2, Some(false)),
        [0xfe, 0xff, ..] => (2, Some(true)),
        _ => (0, None),
    };
    let text = Cursor::new(head.split_off(mark)).chain(reader);
    Ok(match is_big_endian {
        None => Box::new(text),
        Some(is_big_endian) => Box::new(BufReader::new(Utf16 {
            reader: text,
            is_big_endian,
            rest: Vec::new(),
            text: Cursor::default(),
        })),
    })
}

/// Returns the separator of a header line: the one that occurs most often, or else a comma.
pub fn separator(header: &[u8]) -> u8 {
    let count = |separator: &u8| header.split(|byte| byte == separator).count();
    // Of equal counts the first wins.
    SEPARATORS.into_iter().rev().max_by_key(count).unwrap_or(b',')
}

/// Returns whether a header names this column: case, spaces, hyphens and underscores do not matter.
pub fn is_column(header: &str, column: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = char> {
        let ignored = |c: &char| !matches!(c, '_' | '-' | '\u{feff}') && !c.is_whitespace();
        name.chars().filter(ignored).map(|c| c.to_ascii_lowercase())
    }
    letters(header).eq(letters(column))
}

/// A reader that decodes UTF-16.
struct Utf16<R> {
    reader: R,
    is_big_endian: bool,
    /// The bytes of a character that is not complete yet: at most three.
    rest: Vec<u8>,
    text: Cursor<Vec<u8>>,
}

impl<R: Read> Utf16<R> {
    /// Decodes the next bytes. Returns `false` at the end.
    fn decode(&mut self) -> io::Result<bool> {
        let mut bytes = std::mem::take(&mut self.rest);
        let read = self.reader.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let unit = |pair: &[u8; 2]| {
            if self.is_big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
        };
        let (pairs, odd) = bytes.as_chunks();
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        let mut kept = odd.len();
        if read == 0 && kept > 0 {
            // Half a unit at the end.
            units.push(0xfffd);
            kept = 0;
        } else if read > 0 && units.pop_if(|last| (0xd800..0xdc00).contains(last)).is_some() {
            // Its other half follows.
            kept += 2;
        }
        let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        self.text = Cursor::new(text.collect::<String>().into_bytes());
        self.rest = bytes.split_off(bytes.len() - kept);
        Ok(true)
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.text.read(out)?;
            if read > 0 || out.is_empty() || !self.decode()? {
                return Ok(read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        let mut text = String::new();
        utf8(bytes).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn utf_16_of_both_orders_is_read_at_every_length() {
        // Pairs of surrogates fall on both sides of every border of a chunk.
        for shift in 0..4 {
            let text = "x".repeat(shift) + &"🦊é\r\n".repeat(3_000);
            let little = text.encode_utf16().flat_map(u16::to_le_bytes);
            let big = text.encode_utf16().flat_map(u16::to_be_bytes);
            assert_eq!(read(&[0xff, 0xfe].into_iter().chain(little).collect::<Vec<_>>()), text);
            assert_eq!(read(&[0xfe, 0xff].into_iter().chain(big).collect::<Vec<_>>()), text);
        }
    }

    #[test]
    fn marks_are_removed_and_other_bytes_stay() {
        assert_eq!(read("\u{feff}a".as_bytes()), "a");
        for text in ["", "a", "ab", "abc", "é;"] {
            assert_eq!(read(text.as_bytes()), text);
        }
        assert_eq!(read(b"\xff\xfe"), "");
        assert_eq!(read(b"\xff\xfea\0b"), "a\u{fffd}");
        assert_eq!(read(b"\xff\xfe\x3e\xd8"), "\u{fffd}");
        assert_eq!(read(b"\xff\xfe\x3e\xd8a\0"), "\u{fffd}a");
    }

    #[test]
    fn separators_and_headers_are_recognized() {
        for (header, expected) in
            [("id,prompt", b','), ("id;prompt;a,b", b';'), ("id\tprompt", b'\t'), ("prompt", b',')]
        {
            assert_eq!(separator(header.as_bytes()), expected, "{header}");
        }
        for header in ["active_image", "Active Image", "activeImage", " ACTIVE-IMAGE", "\u{feff}active_image"]
        {
            assert!(is_column(header, "active_image"), "{header}");
        }
        assert!(!is_column("active_images", "active_image"));
    }
}
