//! The file of the encoder.
//!
//! All numbers are little-endian and none is aligned:
//!
//! 1. the magic `PCENCOD\0`; `u32`: version, layers, hidden, heads, feed-forward, pieces,
//!    positions, classes: the senses, and "no request for a picture";
//! 2. the pieces: one byte with the length and the UTF-8 text. The first four are `<s>`, `<pad>`,
//!    `</s>` and `<unk>`. Then one `f32` score per piece, and that of `<unk>` is the score of an
//!    unknown character;
//! 3. the word vectors in blocks (`words`), the position vectors as `f32`, weight and bias of the
//!    norm after the embeddings, and one vector per [`Facts::bits`];
//! 4. per layer: the matrices for queries, keys and values in one, for the result of the attention,
//!    and the two of the feed-forward network, each as one `f32` scale per output, one `f32` bias
//!    per output and one row of `i8` per output; then weight and bias of the norms after the
//!    attention and after the feed-forward network;
//! 5. the head: one `f32` row per class, one `f32` bias per [`Facts::bits`] and class, one `f32`
//!    sharpness per regime;
//! 6. the BLAKE3 hash of all that.
//!
//! `encoder/export.py` writes it. Eight bits per weight lose no accuracy, and four bits lose all of
//! it.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use thiserror::Error;

use crate::Facts;
use crate::local::encoder::attention::LANES;
use crate::local::encoder::dense::{Dense, PANEL};
use crate::local::encoder::words::{BLOCK, BLOCK_BYTES};
use crate::local::sense::{Regime, Sense};

/// The first bytes of the file.
pub(super) const MAGIC: &[u8; 8] = b"PCENCOD\0";
/// The version of the layout and of the tokenizer.
pub(super) const VERSION: u32 = 1;

/// The senses, and one class for words that ask for no picture at all.
pub(super) const CLASSES: usize = Sense::COUNT + 1;

const HASH: usize = 32;
/// The greatest sharpness, far above what a calibration gives.
const MAX_SHARPNESS: f32 = 100.0;
/// The greatest amount of a piece's score. Sums over a prompt stay far from the limits of `f32`.
const MAX_SCORE: f32 = 1_000.0;

/// Why bytes are not an encoder.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// The bytes do not begin with the magic.
    #[error("not an encoder file")]
    NotAModel,
    /// The file belongs to another version of the code.
    #[error("encoder of version {found}, this code reads version {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The length, the hash or the content of the file does not match its header.
    #[error("the encoder file is damaged")]
    Damaged,
}

/// The texts of the pieces and their scores.
pub(super) struct Vocabulary {
    pub(super) pieces: Vec<Box<[u8]>>,
    pub(super) scores: Vec<f32>,
}

/// All numbers of the network except the word vectors.
pub(super) struct Weights {
    pub(super) sizes: Sizes,
    pub(super) position_rows: Vec<f32>,
    pub(super) embedding_norm: Norm,
    fact_rows: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) head: Vec<f32>,
    bias: Vec<f32>,
    sharpness: Vec<f32>,
}

/// The sizes of the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    layers: usize,
    /// The numbers of a token between the layers.
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// The numbers of a token inside of the feed-forward network.
    pub(super) feed_forward: usize,
    pieces: usize,
    positions: usize,
}

/// One layer of attention and feed-forward network.
pub(super) struct Layer {
    /// Queries, keys and values.
    pub(super) attention_in: Dense,
    pub(super) attention_out: Dense,
    pub(super) attention_norm: Norm,
    pub(super) expand: Dense,
    pub(super) reduce: Dense,
    pub(super) output_norm: Norm,
}

/// Weight and bias of a layer norm.
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Weights {
    /// Returns the number of positions, which bounds the tokens.
    pub(super) fn positions(&self) -> usize {
        self.sizes.positions
    }

    /// Returns the vector that some facts add to the first token.
    pub(super) fn fact_row(&self, facts: Facts) -> &[f32] {
        row(&self.fact_rows, usize::from(facts.bits()), self.sizes.hidden)
    }

    /// Returns the bias of each class under some facts.
    pub(super) fn bias(&self, facts: Facts) -> &[f32] {
        row(&self.bias, usize::from(facts.bits()), CLASSES)
    }

    /// Returns the factor of scores before they become probabilities.
    pub(super) fn sharpness(&self, regime: Regime) -> f32 {
        self.sharpness.get(regime as usize).copied().unwrap_or(1.0)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sizes.fmt(f)
    }
}

fn row(table: &[f32], number: usize, width: usize) -> &[f32] {
    table.get(number * width..(number + 1) * width).unwrap_or_default()
}

/// Checks a file and converts its content, except the word vectors, whose place is returned.
pub(super) fn parse(file: &[u8]) -> Result<(Vocabulary, Range<usize>, Weights), EncoderError> {
    let rest = file.strip_prefix(MAGIC).ok_or(EncoderError::NotAModel)?;
    let version = rest.first_chunk().ok_or(EncoderError::Damaged)?;
    let found = u32::from_le_bytes(*version);
    if found != VERSION {
        return Err(EncoderError::Version { found });
    }
    let (content, stated) = file.split_last_chunk::<HASH>().ok_or(EncoderError::Damaged)?;
    if blake3::hash(content).as_bytes() != stated {
        return Err(EncoderError::Damaged);
    }
    read(content).ok_or(EncoderError::Damaged)
}

/// Reads everything after the hash was checked. A correct hash proves no good intent, so every
/// length and every number is checked as well.
fn read(content: &[u8]) -> Option<(Vocabulary, Range<usize>, Weights)> {
    let mut reader = Reader { rest: content.get(MAGIC.len() + size_of_val(&VERSION)..)? };
    let sizes = Sizes::read(&mut reader)?;
    let Sizes { hidden, feed_forward, .. } = sizes;
    let vocabulary = Vocabulary::read(&mut reader, sizes.pieces)?;

    let start = content.len() - reader.rest.len();
    reader.bytes(sizes.pieces * (hidden / BLOCK) * BLOCK_BYTES)?;
    let table = start..content.len() - reader.rest.len();
    let position_rows = reader.floats(sizes.positions * hidden)?;
    let embedding_norm = reader.norm(hidden)?;
    let fact_rows = reader.floats(Facts::COUNT * hidden)?;
    let layers = (0..sizes.layers).map(|_| {
        let attention_in = reader.dense(3 * hidden, hidden)?;
        let attention_out = reader.dense(hidden, hidden)?;
        let expand = reader.dense(feed_forward, hidden)?;
        let reduce = reader.dense(hidden, feed_forward)?;
        let attention_norm = reader.norm(hidden)?;
        let output_norm = reader.norm(hidden)?;
        Some(Layer { attention_in, attention_out, attention_norm, expand, reduce, output_norm })
    });
    let layers = layers.collect::<Option<_>>()?;
    let head = reader.floats(CLASSES * hidden)?;
    let bias = reader.floats(Facts::COUNT * CLASSES)?;
    let sharpness = reader.floats(Regime::COUNT)?;
    if !sharpness.iter().all(|value| (0.0..=MAX_SHARPNESS).contains(value)) {
        return None;
    }
    let weights = Weights { sizes, position_rows, embedding_norm, fact_rows, layers, head, bias, sharpness };
    reader.rest.is_empty().then_some((vocabulary, table, weights))
}

impl Sizes {
    /// Reads the sizes, each within bounds that keep every product far below `usize::MAX`.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut next = |bounds: RangeInclusive<usize>| {
            let value = reader.number()? as usize;
            bounds.contains(&value).then_some(value)
        };
        let sizes = Self {
            layers: next(1..=24)?,
            hidden: next(BLOCK..=1_024)?,
            heads: next(1..=64)?,
            feed_forward: next(1..=8_192)?,
            pieces: next(4..=300_000)?,
            positions: next(3..=4_096)?,
        };
        next(CLASSES..=CLASSES)?;
        let is_even = sizes.hidden.is_multiple_of(BLOCK)
            && sizes.hidden.is_multiple_of(sizes.heads * LANES)
            && sizes.feed_forward.is_multiple_of(PANEL);
        is_even.then_some(sizes)
    }
}

impl Vocabulary {
    fn read(reader: &mut Reader<'_>, count: usize) -> Option<Self> {
        let mut pieces = Vec::new();
        for _ in 0..count {
            let length = *reader.bytes(1)?.first()?;
            let piece = reader.bytes(usize::from(length))?;
            std::str::from_utf8(piece).ok()?;
            pieces.push(piece.into());
        }
        let scores = reader.floats(count)?;
        let is_small = scores.iter().all(|score| score.abs() <= MAX_SCORE);
        is_small.then_some(Self { pieces, scores })
    }
}

/// The part of a file that was not read yet. Nothing is allocated before its bytes were found.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    /// Reads finite floats.
    fn floats(&mut self, count: usize) -> Option<Vec<f32>> {
        let (chunks, _) = self.bytes(count * size_of::<f32>())?.as_chunks();
        let floats: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        floats.iter().all(|value| value.is_finite()).then_some(floats)
    }

    fn norm(&mut self, width: usize) -> Option<Norm> {
        Some(Norm { weight: self.floats(width)?, bias: self.floats(width)? })
    }

    fn dense(&mut self, outputs: usize, inputs: usize) -> Option<Dense> {
        let scales = self.floats(outputs)?;
        let bias = self.floats(outputs)?;
        Dense::new(self.bytes(outputs * inputs)?, scales, bias, inputs)
    }
}
