//! The weights, as they lie in their file.
//!
//! The file is little-endian: the magic `PCLOCAL\0`, a version, the number of senses and the number of rows (one `u32`
//! each), then one `f32` scale, one `f32` inverse temperature for each regime, one check byte for each row, four bytes of
//! weights for each row, and the BLAKE3 hash of all that. Weights stay where they are in the binary: nothing is copied or
//! converted at the start. A file that is not exactly that is an error; it is never guessed at.
//!
//! A weight is four bits that pick one of fifteen levels. A prompt has hundreds of features, so the rounding of one of
//! them is lost in the sum, and twice as many features fit into the file as with a byte each.
//!
//! A feature lives in one of two neighbouring rows, under a check byte from its hash. Plain feature hashing has no such
//! byte and lets every unknown feature borrow the weights of a known one; here 99 in 100 of them find nothing and say
//! nothing, which matters more for words that training never saw than any other choice in this file.

use thiserror::Error;

use crate::local::sense::{Regime, Sense};

/// What the file starts with.
pub(crate) const MAGIC: &[u8; 8] = b"PCLOCAL\0";
/// The layout and the features that this code understands. Changing either needs a new number and a new training.
pub(crate) const VERSION: u32 = 2;
/// How many rows there are: as many as keep the file below two megabytes, with some room for its growth.
pub(crate) const ROWS: usize = 380_000;

/// The bytes of a row: two weights in each.
const ROW: usize = Sense::COUNT / 2;

/// What the values of four bits stand for. Steps grow with the value: most weights are small, and the few great ones need
/// no precision.
const LEVELS: [i8; 16] = [0, 1, 2, 3, 5, 8, 12, 18, 0, -1, -2, -3, -5, -8, -12, -18];

const HEADER: usize = MAGIC.len() + 3 * 4;
const HASH: usize = 32;

/// Why bytes are not a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bytes do not start as a model does.
    #[error("not a model file")]
    NotAModel,
    /// The model was made for other code.
    #[error("model of version {found}, this code reads version {VERSION}")]
    Version {
        /// The version that the file states.
        found: u32,
    },
    /// The file's length or hash is not what its header calls for.
    #[error("the model file is damaged")]
    Damaged,
}

/// The weights of a linear model over hashed features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    /// What turns a sum of weights into a score.
    scale: f32,
    /// What scores are multiplied with before they become probabilities, for each regime.
    sharpness: [f32; Regime::COUNT],
    /// Check bytes in pairs: a pair for each two rows that share their features.
    checks: &'a [[u8; 2]],
    weights: &'a [[u8; ROW]],
}

impl<'a> Model<'a> {
    /// A model that knows nothing: every sense is as likely as any other.
    pub(crate) const EMPTY: Model<'static> =
        Model { scale: 0.0, sharpness: [0.0; Regime::COUNT], checks: &[], weights: &[] };

    /// Checks a file and takes the weights where they lie.
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

    /// The weights of a hashed feature, one for each sense, if the model knows it.
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

    /// The factor that turns a sense's sum of weights into a score.
    pub(crate) const fn scale(&self) -> f32 {
        self.scale
    }

    /// How sharply scores become probabilities under a regime.
    pub(crate) fn sharpness(&self, regime: Regime) -> f32 {
        self.sharpness.get(regime as usize).copied().unwrap_or(1.0)
    }
}

/// The pair of rows in which a feature may live.
pub(crate) const fn pair_of(hash: u32) -> usize {
    // The high half of a product spreads hashes over any number of pairs, as a remainder would, without a division.
    ((hash as u64 * (ROWS as u64 / 2)) >> 32) as usize
}

/// The check byte of a feature. Zero marks an empty row.
pub(crate) const fn check_of(hash: u32) -> u8 {
    match hash as u8 {
        0 => 1,
        check => check,
    }
}

/// Writes a model file. The rows' weights are in units of the smallest level.
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

/// The four bits whose level is nearest to a weight.
#[cfg(feature = "train")]
fn nearest(weight: f32) -> u8 {
    let distance = |level: i8| (f32::from(level) - weight).abs();
    let levels = (0_u8..).zip(LEVELS);
    levels.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1))).map_or(0, |(nibble, _)| nibble)
}
