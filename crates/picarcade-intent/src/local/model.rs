//! The weights, as they lie in their file.
//!
//! The file is little-endian: the magic `PCLOCAL\0`, a version, the number of senses and the base-two logarithm of the
//! number of buckets (one `u32` each), then one `f32` scale for each sense, one `f32` inverse temperature for each
//! regime, one `i8` weight for each bucket and sense, and the BLAKE3 hash of all that. Weights stay where they are in
//! the binary: nothing is copied or converted at the start. A file that is not exactly that is an error; it is never
//! guessed at.

use thiserror::Error;

use crate::local::sense::{Regime, Sense};

/// What the file starts with.
pub(crate) const MAGIC: &[u8; 8] = b"PCLOCAL\0";
/// The layout and the features that this code understands. Changing either needs a new number and a new training.
pub(crate) const VERSION: u32 = 1;
/// Base-two logarithm of the number of buckets.
pub(crate) const LOG_BUCKETS: u32 = 17;

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
    scales: [f32; Sense::COUNT],
    /// What scores are multiplied with before they become probabilities, for each regime.
    sharpness: [f32; Regime::COUNT],
    weights: &'a [[u8; Sense::COUNT]],
}

impl<'a> Model<'a> {
    /// A model that knows nothing: every sense is as likely as any other.
    pub(crate) const EMPTY: Model<'static> =
        Model { scales: [0.0; Sense::COUNT], sharpness: [0.0; Regime::COUNT], weights: &[] };

    /// Checks a file and takes the weights where they lie.
    pub(crate) fn parse(file: &'a [u8]) -> Result<Self, ModelError> {
        let rest = file.strip_prefix(MAGIC).ok_or(ModelError::NotAModel)?;
        let mut words = rest.chunks_exact(4).filter_map(|word| <[u8; 4]>::try_from(word).ok());
        let mut next = || words.next().ok_or(ModelError::Damaged);
        let version = u32::from_le_bytes(next()?);
        if version != VERSION {
            return Err(ModelError::Version { found: version });
        }
        if u32::from_le_bytes(next()?) as usize != Sense::COUNT || u32::from_le_bytes(next()?) != LOG_BUCKETS {
            return Err(ModelError::Damaged);
        }
        let mut scales = [0.0; Sense::COUNT];
        for scale in &mut scales {
            *scale = f32::from_le_bytes(next()?);
        }
        let mut sharpness = [0.0; Regime::COUNT];
        for value in &mut sharpness {
            *value = f32::from_le_bytes(next()?);
        }
        if !scales.iter().chain(&sharpness).all(|value| value.is_finite()) {
            return Err(ModelError::Damaged);
        }
        let (content, stated) = file.split_last_chunk::<HASH>().ok_or(ModelError::Damaged)?;
        let start = HEADER + 4 * (Sense::COUNT + Regime::COUNT);
        let (weights, excess) = content.get(start..).ok_or(ModelError::Damaged)?.as_chunks::<{ Sense::COUNT }>();
        if weights.len() != 1 << LOG_BUCKETS || !excess.is_empty() || blake3::hash(content).as_bytes() != stated {
            return Err(ModelError::Damaged);
        }
        Ok(Self { scales, sharpness, weights })
    }

    /// The weights of a hashed feature, one for each sense.
    pub(crate) fn row(&self, hash: u32) -> [i8; Sense::COUNT] {
        let row = self.weights.get((hash >> (32 - LOG_BUCKETS)) as usize);
        row.copied().unwrap_or_default().map(u8::cast_signed)
    }

    /// The factor that turns a sense's sum of weights into a score.
    pub(crate) const fn scales(&self) -> [f32; Sense::COUNT] {
        self.scales
    }

    /// How sharply scores become probabilities under a regime.
    pub(crate) fn sharpness(&self, regime: Regime) -> f32 {
        self.sharpness.get(regime as usize).copied().unwrap_or(1.0)
    }
}

/// Writes a model file.
#[cfg(feature = "train")]
pub(crate) fn write(
    scales: [f32; Sense::COUNT],
    sharpness: [f32; Regime::COUNT],
    weights: impl Iterator<Item = i8>,
) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + (Sense::COUNT << LOG_BUCKETS) + HASH + 64);
    file.extend_from_slice(MAGIC);
    for word in [VERSION, Sense::COUNT as u32, LOG_BUCKETS] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for value in scales.into_iter().chain(sharpness) {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend(weights.map(i8::cast_unsigned));
    let hash = blake3::hash(&file);
    file.extend_from_slice(hash.as_bytes());
    file
}
