//! A compact encoding of numbers and words, in which tallies are stored. Pure.
//!
//! Whole numbers are LEB128 (seven bits per byte, the least significant first, as in DWARF and
//! Protocol Buffers). Floats are eight bytes, little-endian. Words are their length and their
//! UTF-8. The input may be arbitrary: a reader returns `None` where the bytes end or are invalid,
//! and never allocates more memory than the input has.

/// Appends a whole number: one byte below 128, at most ten.
pub(crate) fn number(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

pub(crate) fn float(into: &mut Vec<u8>, value: f64) {
    into.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn word(into: &mut Vec<u8>, word: &str) {
    number(into, word.len() as u64);
    into.extend_from_slice(word.as_bytes());
}

/// Reads the values in the order in which they were appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn float(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    pub(crate) fn word(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (word, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(word).ok()
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(numbers in proptest::collection::vec(any::<(u64, u32, f64, String)>(), 0..20)) {
            let mut bytes = Vec::new();
            for (large, shift, real, text) in &numbers {
                number(&mut bytes, large >> (shift % 64));
                float(&mut bytes, *real);
                word(&mut bytes, text);
            }
            let mut reader = Reader::new(&bytes);
            for (large, shift, real, text) in &numbers {
                prop_assert_eq!(reader.number(), Some(large >> (shift % 64)));
                prop_assert_eq!(reader.float().map(f64::to_bits), Some(real.to_bits()));
                prop_assert_eq!(reader.word(), Some(text.as_str()));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn anything_can_be_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.number().is_some() && reader.word().is_some() && reader.float().is_some() {}
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_not_numbers() {
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).number(),
            Some(u64::MAX)
        );
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).number(), None);
        assert_eq!(Reader::new(&[0x80; 11]).number(), None);
    }
}
