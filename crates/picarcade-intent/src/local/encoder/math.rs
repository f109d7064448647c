//! The functions between the products of matrices.
//!
//! Sums run over sixteen lanes, and the exponential is a polynomial without branches, so that the
//! compiler uses vector instructions.

#![expect(clippy::inline_always, reason = "the vector instructions of the caller must apply inside")]

use std::f32::consts::{LN_2, LOG2_E};

/// The lanes of a sum. The result of a sum depends on this number.
const LANES: usize = 16;

/// Returns e^x with a relative error below 5e-7. Results are at least 2^-126 and at most 2^126.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let power = (x * LOG2_E).clamp(-126.0, 126.0);
    let shifted = power + ROUND;
    let fraction = power - (shifted - ROUND);
    // The Taylor series of 2^f for |f| <= 1/2, up to the sixth power.
    let mut series = 1.540_353e-4;
    for factor in [0.001_333_355_8, 0.009_618_129, 0.055_504_11, 0.240_226_5, LN_2, 1.0] {
        series = series * fraction + factor;
    }
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits())) * series
}

/// Replaces each number by its GELU (Hendrycks and Gimpel, 2016, arXiv:1606.08415) in the form
/// with the hyperbolic tangent.
#[inline(always)]
pub(super) fn gelu(values: &mut [f32]) {
    // x/2 * (1 + tanh(y)) = x / (1 + exp(-2y)) with y = sqrt(2/pi) * (x + 0.044715 x^3).
    const FACTOR: f32 = -1.595_769;
    for value in values {
        let x = *value;
        *value = x / (1.0 + exp(FACTOR * (x + 0.044_715 * x * x * x)));
    }
}

/// Converts scores to shares that sum to one.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32]) {
    let highest = reduce(scores, f32::MIN, f32::max, |score| score);
    for score in &mut *scores {
        *score = exp(*score - highest);
    }
    let factor = 1.0 / reduce(scores, 0.0, |a, b| a + b, |share| share);
    for score in scores {
        *score *= factor;
    }
}

/// Gives a row the mean 0 and the variance 1, then multiplies by a weight and adds a bias (Ba et
/// al., 2016, arXiv:1607.06450).
#[inline(always)]
pub(super) fn normalize(row: &mut [f32], weight: &[f32], bias: &[f32]) {
    const EPSILON: f32 = 1e-12;
    let count = row.len() as f32;
    let mean = reduce(row, 0.0, |a, b| a + b, |value| value) / count;
    let variance = reduce(row, 0.0, |a, b| a + b, |value| (value - mean) * (value - mean)) / count;
    let factor = 1.0 / (variance + EPSILON).sqrt();
    for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *value = (*value - mean) * factor * weight + bias;
    }
}

/// Returns the greatest amount in a row.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    reduce(row, 0.0, f32::max, f32::abs)
}

/// Adds each number of one row to another.
#[inline(always)]
pub(super) fn add(row: &mut [f32], other: &[f32]) {
    for (value, other) in row.iter_mut().zip(other) {
        *value += other;
    }
}

/// Returns the sum of the products of two rows.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[inline(always)]
fn reduce(values: &[f32], start: f32, join: impl Fn(f32, f32) -> f32, map: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, map(*value));
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = join(*lane, map(*value));
    }
    lanes.into_iter().fold(start, join)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_exact_to_five_in_ten_million() {
        for step in -8_000..=8_000_i16 {
            let x = f32::from(step) / 100.0;
            let exact = f64::from(x).exp();
            // The product with log2(e) is rounded, which counts more for large exponents.
            let tolerance = 3e-7 + f64::from(x.abs()) * 1.2e-7;
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < tolerance, "{x}: {} {exact}", exp(x));
        }
        assert!(exp(f32::MAX).is_finite() && exp(f32::MIN) > 0.0);
        assert!(exp(f32::MIN) < 1e-37);
    }

    #[test]
    fn gelu_equals_its_definition() {
        for step in -1_000..=1_000_i16 {
            let x = f32::from(step) / 50.0;
            let mut value = [x];
            gelu(&mut value);
            let x = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let exact = 0.5 * x * (1.0 + inner.tanh());
            assert!((f64::from(value[0]) - exact).abs() < 2e-6, "{x}: {} {exact}", value[0]);
        }
    }

    #[test]
    fn shares_sum_to_one_for_rows_of_any_length() {
        for length in 1..70_usize {
            let mut row: Vec<f32> = (0..length).map(|n| (n * 37 % 19) as f32 - 9.0).collect();
            let highest = row.iter().copied().fold(f32::MIN, f32::max);
            let exact: Vec<f32> = row.iter().map(|score| (score - highest).exp()).collect();
            let sum: f32 = exact.iter().sum();
            softmax(&mut row);
            for (share, exact) in row.iter().zip(exact) {
                assert!((share - exact / sum).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_normalized_row_has_mean_zero_and_variance_one() {
        let mut row: Vec<f32> = (0..96).map(|n| (n * 31 % 17) as f32).collect();
        normalize(&mut row, &[1.0; 96], &[0.0; 96]);
        let mean = row.iter().sum::<f32>() / 96.0;
        let variance = row.iter().map(|value| value * value).sum::<f32>() / 96.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
        let mut constant = [3.0; 32];
        normalize(&mut constant, &[2.0; 32], &[0.5; 32]);
        assert!(constant.iter().all(|value| (value - 0.5).abs() < 1e-6));
    }
}
