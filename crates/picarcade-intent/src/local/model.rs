//! The weights and their file format.
//!
//! The file is little-endian: the magic `PCLOCAL\0`, a version, the number of senses and the number
//! of rows (one `u32` each), then one `f32` scale, one `f32` inverse temperature per regime, one
//! check byte per row, four bytes of weights per row, and the BLAKE3 hash of all that. Weights are
//! read in place: nothing is copied or converted at the start. Any deviation is an error.
//!
//! A weight is four bits that select one of fifteen levels. A prompt has hundreds of features, so
//! the rounding error of one is lost in the sum, and twice as many features fit into the file as
//! with a byte each.
//!
//! A feature is stored in one of two neighboring rows, under a check byte from its hash. Plain
//! feature hashing has no check byte, so every unknown feature gets the weights of a known one.
//! Here 99 of 100 unknown features find no row. For words that training never saw, this matters
//! more than any other choice in this file.

use thiserror::Error;

use crate::local::sense::{Regime, Sense};

/// The first bytes of the file.
pub(crate) const MAGIC: &[u8; 8] = b"PCLOCAL\0";
/// The version of the layout and the features. A change of either needs a new number and a new
/// training.
pub(crate) const VERSION: u32 = 2;
/// The number of rows, which keeps the file below two megabytes with room to grow.
pub(crate) const ROWS: usize = 380_000;

/// The bytes of a row: two weights each.
const ROW: usize = Sense::COUNT / 2;

/// The values of the four-bit levels. The steps grow with the value, because most weights are
/// small, and the few large ones need no precision.
const LEVELS: [i8; 16] = [0, 1, 2, 3, 5, 8, 12, 18, 0, -1, -2, -3, -5, -8, -12, -18];

const HEADER: usize = MAGIC.len() + 3 * 4;
const HASH: usize = 32;

/// Why bytes are not a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bytes do not begin with the magic.
    #[error("not a model file")]
    NotAModel,
    /// The model belongs to another version of the code.
    #[error("model of version {found}, this code reads version {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The length or the hash of the file does not match its header.
    #[error("the model file is damaged")]
    Damaged,
}

/// The weights of a linear model over hashed features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    /// The factor that converts a sum of weights to a score.
    scale: f32,
    /// The factor of the scores before they become probabilities, per regime.
    sharpness: [f32; Regime::COUNT],
    /// Check bytes in pairs: one pair for each two rows that share their features.
    checks: &'a [[u8; 2]],
    weights: &'a [[u8; ROW]],
}

impl<'a> Model<'a> {
    /// A model without knowledge: all senses are equally likely.
    pub(crate) const EMPTY: Model<'static> =
        Model { scale: 0.0, sharpness: [0.0; Regime::COUNT], checks: &[], weights: &[] };

    /// Checks a file and uses its weights in place.
    pub(crate) fn parse(file: &'a [u8]) -> Result<Self, ModelError> {
        let rest = file.strip_prefix(MAGIC).ok_or(ModelError::NotAModel)?;
        let mut words = rest.chunks_exact(4).filter_map(|word| <[u8; 4]>::try_from(word).ok());
        let mut next = || words.next().ok_or(ModelError::Damaged);
        let version = u32::from_le_bytes(next()?);
        if version != VERSION {
            return Err(ModelError::Version { found: version });
        }
        if u32::from_le_bytes(next()?) as usize != Sense::COUNT
            || u32::from_le_bytes(next()?) as usize != ROWS
        {
            return Err(ModelError::Damaged);
        }
        let scale = f32::from_le_bytes(next()?);
        let mut sharpness = [0.0; Regime::COUNT];
        for value in &mut sharpness {
            *value = f32::from_le_bytes(next()?);
        }
        if !sharpness.iter().chain([&scale]).all(|value| value.is_finite()) {
            return Err(ModelError::Damaged);
        }
        let (content, stated) = file.split_last_chunk::<HASH>().ok_or(ModelError::Damaged)?;
        let start = HEADER + 4 * (1 + Regime::COUNT);
        let rows = content.get(start..).ok_or(ModelError::Damaged)?;
        let (checks, weights) = rows.split_at_checked(ROWS).ok_or(ModelError::Damaged)?;
        let (checks, _) = checks.as_chunks();
        let (weights, excess) = weights.as_chunks();
        if weights.len() != ROWS || !excess.is_empty() || blake3::hash(content).as_bytes() != stated {
            return Err(ModelError::Damaged);
        }
        Ok(Self { scale, sharpness, checks, weights })
    }

    /// Returns the weights of a hashed feature, one per sense, if the model knows the feature.
    pub(crate) fn row(&self, hash: u32) -> Option<[i8; Sense::COUNT]> {
        let pair = pair_of(hash);
        let [even, odd] = self.checks.get(pair)?;
        let check = check_of(hash);
        let row = if *even == check {
            2 * pair
        } else if *odd == check {
            2 * pair + 1
        } else {
            return None;
        };
        let packed = self.weights.get(row)?;
        let mut weights = [0; Sense::COUNT];
        for (two, byte) in weights.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
            *two = [byte & 15, byte >> 4].map(|nibble| LEVELS[usize::from(nibble & 15)]);
        }
        Some(weights)
    }

    /// Returns the factor that converts the sum of weights of a sense to a score.
    pub(crate) const fn scale(&self) -> f32 {
        self.scale
    }

    /// Returns the sharpness of probabilities under a regime.
    pub(crate) fn sharpness(&self, regime: Regime) -> f32 {
        self.sharpness.get(regime as usize).copied().unwrap_or(1.0)
    }
}

/// Returns the pair of rows that may hold a feature.
pub(crate) const fn pair_of(hash: u32) -> usize {
    // The high half of a product distributes hashes over any number of pairs without a division.
    ((hash as u64 * (ROWS as u64 / 2)) >> 32) as usize
}

/// Returns the check byte of a feature. Zero marks an empty row.
pub(crate) const fn check_of(hash: u32) -> u8 {
    match hash as u8 {
        0 => 1,
        check => check,
    }
}

/// Writes a model file. The weights of the rows are in units of the smallest level.
#[cfg(feature = "train")]
pub(crate) fn write(
    scale: f32,
    sharpness: [f32; Regime::COUNT],
    rows: &[(u8, [f32; Sense::COUNT])],
) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + (ROW + 1) * ROWS + HASH + 64);
    file.extend_from_slice(MAGIC);
    for word in [VERSION, Sense::COUNT as u32, ROWS as u32] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for value in [scale].into_iter().chain(sharpness) {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend(rows.iter().map(|(check, _)| *check));
    for (_, weights) in rows {
        file.extend(weights.as_chunks::<2>().0.iter().map(|[low, high]| nearest(*low) | nearest(*high) << 4));
    }
    let hash = blake3::hash(&file);
    file.extend_from_slice(hash.as_bytes());
    file
}

/// Returns the four bits of the level that is nearest to a weight.
#[cfg(feature = "train")]
fn nearest(weight: f32) -> u8 {
    let distance = |level: i8| (f32::from(level) - weight).abs();
    let levels = (0_u8..).zip(LEVELS);
    levels.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1))).map_or(0, |(nibble, _)| nibble)
}
