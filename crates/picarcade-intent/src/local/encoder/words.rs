//! The table of word vectors, four bits per number, read in place.
//!
//! A block is a 16-bit float and 32 numbers of four bits: byte `j` holds number `j` in its low half
//! and number `j + 16` in its high half. A value is `(number - 8) * scale`. This is the format
//! `q4_0` of ggml, and the package with the base model contains the table in it.

use std::borrow::Cow;
use std::ops::Range;

/// The numbers in a block.
pub(super) const BLOCK: usize = 32;
/// The bytes of a block.
pub(super) const BLOCK_BYTES: usize = 2 + BLOCK / 2;

/// The vectors of the pieces, inside the file they came from.
pub(super) struct Words {
    file: Cow<'static, [u8]>,
    table: Range<usize>,
    row_bytes: usize,
}

impl Words {
    /// Uses a part of a file. Returns `None` if a scale is infinite or not a number.
    pub(super) fn new(file: Cow<'static, [u8]>, table: Range<usize>, hidden: usize) -> Option<Self> {
        let words = Self { file, table, row_bytes: hidden / BLOCK * BLOCK_BYTES };
        let (blocks, _) = words.table().as_chunks::<BLOCK_BYTES>();
        let is_finite = |[low, high, ..]: &[u8; BLOCK_BYTES]| half([*low, *high]).is_finite();
        blocks.iter().all(is_finite).then_some(words)
    }

    /// Adds the vector of a piece to a row. Does nothing for a number outside of the vocabulary.
    pub(super) fn add(&self, piece: u32, row: &mut [f32]) {
        let start = piece as usize * self.row_bytes;
        let bytes = self.table().get(start..start + self.row_bytes).unwrap_or_default();
        let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
        for ([low, high, nibbles @ ..], values) in blocks.iter().zip(row.as_chunks_mut::<BLOCK>().0) {
            let scale = half([*low, *high]);
            let (first, second) = values.split_at_mut(BLOCK / 2);
            for ((byte, first), second) in nibbles.iter().zip(first).zip(second) {
                *first += (f32::from(byte & 15) - 8.0) * scale;
                *second += (f32::from(byte >> 4) - 8.0) * scale;
            }
        }
    }

    fn table(&self) -> &[u8] {
        self.file.get(self.table.clone()).unwrap_or_default()
    }
}

/// Reads a 16-bit float (IEEE 754 binary16).
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (exponent, fraction) = (bits >> 10 & 31, bits & 1023);
    let magnitude = match exponent {
        // Numbers without a leading one are multiples of 2^-24.
        0 => fraction as f32 / 16_777_216.0,
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_have_the_values_of_the_standard() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x8400, -6.103_515_6e-5),
        ] {
            assert_eq!(half(u16::to_le_bytes(bits)).to_bits(), f32::to_bits(value), "{bits:04x}");
        }
        assert!(half([0, 0x7c]).is_infinite());
        assert!(half([1, 0x7c]).is_nan());
    }

    #[test]
    fn a_row_is_read_from_low_and_high_halves() {
        let mut file = vec![0; BLOCK_BYTES];
        file.extend([0x00, 0x38, 0x9f]);
        file.extend([0x88; 15]);
        let words = Words::new(file.into(), 0..2 * BLOCK_BYTES, BLOCK).unwrap();
        let mut row = [1.0; BLOCK];
        words.add(1, &mut row);
        assert_eq!((row[0], row[16], row[1]), (1.0 + 7.0 * 0.5, 1.0 + 0.5, 1.0));
        words.add(2, &mut row);
        assert!((row[1] - 1.0).abs() < 1e-6);
    }
}
