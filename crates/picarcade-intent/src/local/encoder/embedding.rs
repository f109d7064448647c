//! What two prompts are compared by.
//!
//! The last layer alone is too coarse: training moves prompts of one sense together, whatever they
//! are about, and long prompts most of all. Common words alone are too literal: "a poster of the
//! sale" and "a clip of the sale" share most of them. Two prompts are near only by both.

use crate::local::encoder::math::dot;

/// The sums of a similarity that are independent, so that the compiler uses vector instructions.
const LANES: usize = 16;

/// The sense and the pieces of a prompt, each as a vector of length 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Embedding {
    sense: Box<[f32]>,
    /// The weight of each piece that occurs, in the order of their numbers.
    pieces: Box<[(u32, f32)]>,
}

/// How near two prompts are. Both numbers are cosines, at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Similarity {
    /// How near their senses are, by the last layer.
    pub(crate) sense: f32,
    /// How many pieces they share. Rare pieces count more than frequent ones.
    pub(crate) words: f32,
}

impl Embedding {
    /// Creates an embedding from the last layer and from the weights of the pieces.
    pub(super) fn new(mut sense: Vec<f32>, pieces: impl Iterator<Item = (u32, f32)>) -> Self {
        let factor = factor(dot(&sense, &sense));
        for value in &mut sense {
            *value = if factor == 0.0 { 0.0 } else { *value * factor };
        }
        let mut pieces: Vec<_> = pieces.filter(|(_, weight)| *weight > 0.0).collect();
        pieces.sort_unstable_by_key(|(piece, _)| *piece);
        pieces.dedup_by_key(|(piece, _)| *piece);
        let factor = self::factor(pieces.iter().map(|(_, weight)| weight * weight).sum());
        for (_, weight) in &mut pieces {
            *weight *= factor;
        }
        Self { sense: sense.into(), pieces: pieces.into() }
    }

    /// Returns how near another prompt is.
    pub(crate) fn similarity(&self, other: &Self) -> Similarity {
        let mut sums = [0.0; LANES];
        // The width of a layer is a multiple of the lanes.
        for (a, b) in self.sense.as_chunks::<LANES>().0.iter().zip(other.sense.as_chunks::<LANES>().0) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        let mut words = 0.0;
        let mut others = other.pieces.iter().peekable();
        for (piece, weight) in &self.pieces {
            while others.next_if(|(other, _)| other < piece).is_some() {}
            if let Some((_, other)) = others.next_if(|(other, _)| other == piece) {
                words += weight * other;
            }
        }
        Similarity { sense: sums.iter().sum(), words }
    }
}

impl Similarity {
    /// Returns both numbers as one.
    pub(crate) fn mean(self) -> f32 {
        f32::midpoint(self.sense, self.words)
    }
}

/// Returns the factor that gives a vector the length 1. A vector without a direction, or one that
/// overflowed, becomes zero and is near to nothing.
fn factor(squares: f32) -> f32 {
    if squares.is_normal() { 1.0 / squares.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_by_their_weight_and_once() {
        let embedding = |pieces: &[(u32, f32)]| Embedding::new(vec![0.5; 32], pieces.iter().copied());
        let one = embedding(&[(9, 3.0), (4, 4.0), (9, 3.0), (7, 0.0)]);
        let similarity = one.similarity(&embedding(&[(1, 1.0), (4, 1.0)]));
        assert!((similarity.sense - 1.0).abs() < 1e-6);
        assert!((similarity.words - 0.8 * 0.5_f32.sqrt()).abs() < 1e-6);
        assert!((one.similarity(&one).mean() - 1.0).abs() < 1e-6);
        assert!(embedding(&[]).similarity(&one).words.abs() < 1e-6);
    }

    #[test]
    fn numbers_that_overflowed_are_near_to_nothing() {
        for value in [0.0, f32::INFINITY, f32::NAN, 1e30] {
            let broken = Embedding::new(vec![value; 32], [(1, 1.0)].into_iter());
            assert!(broken.similarity(&broken).sense.abs() < 1e-6, "{value}");
        }
    }
}
