//! The product of rows of numbers with a matrix of eight-bit weights.
//!
//! A row of inputs is rounded to about 14 bits with a scale of its own. The products and sums are
//! then integers, so they are exact and equal on every machine, and a processor does twice as many
//! of them at a time as of floats. The error of the rounding is far below that of the weights.
//!
//! Weights are stored in the order of their use. A panel holds sixteen outputs; in it, each step
//! holds the weights of two inputs, and pairs of weights of one output are neighbors, which is what
//! the instruction `vpmaddwd` multiplies and adds.

#![expect(clippy::inline_always, reason = "the vector instructions of the caller must apply inside")]

use crate::local::encoder::math::largest;

/// The outputs in a panel.
pub(super) const PANEL: usize = 16;

/// The weights of sixteen outputs for two inputs: two halves of eight pairs.
type Step = [[i8; PANEL]; 2];

/// The greatest amount of a rounded input.
const MAX_LEVEL: f32 = 8_191.0;

/// The numbers of sixteen columns.
pub(super) type Lanes = [f32; PANEL];

/// How a machine multiplies. The result is the same on every machine.
pub(super) trait Machine: Copy {
    /// Multiplies some rows of inputs, two numbers of each at a time, with a panel.
    fn multiply<const ROWS: usize>(self, inputs: &[[[i16; 2]; ROWS]], panel: &[Step])
    -> [[i32; PANEL]; ROWS];

    /// Multiplies four rows of floats with a matrix of sixteen columns.
    fn multiply_floats(self, rows: [&[f32]; 4], columns: &[Lanes]) -> [Lanes; 4];
}

/// A machine without known vector instructions.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Machine for Portable {
    #[inline(always)]
    fn multiply<const ROWS: usize>(
        self,
        inputs: &[[[i16; 2]; ROWS]],
        panel: &[Step],
    ) -> [[i32; PANEL]; ROWS] {
        let mut sums = [[0; PANEL]; ROWS];
        for (pairs, step) in inputs.iter().zip(panel) {
            let weights = step.as_flattened().as_chunks::<2>().0;
            for (sums, [first, second]) in sums.iter_mut().zip(pairs) {
                for (sum, [a, b]) in sums.iter_mut().zip(weights) {
                    *sum += i32::from(*first) * i32::from(*a) + i32::from(*second) * i32::from(*b);
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn multiply_floats(self, [a, b, c, d]: [&[f32]; 4], columns: &[Lanes]) -> [Lanes; 4] {
        let mut sums = [[0.0; PANEL]; 4];
        for ((((lanes, a), b), c), d) in columns.iter().zip(a).zip(b).zip(c).zip(d) {
            for (sums, factor) in sums.iter_mut().zip([a, b, c, d]) {
                for (sum, lane) in sums.iter_mut().zip(lanes) {
                    *sum += factor * lane;
                }
            }
        }
        sums
    }
}

/// AVX2: sixteen integer products or eight of floats per instruction.
#[cfg(target_arch = "x86_64")]
impl Machine for pulp::x86::V3 {
    #[inline(always)]
    fn multiply<const ROWS: usize>(
        self,
        inputs: &[[[i16; 2]; ROWS]],
        panel: &[Step],
    ) -> [[i32; PANEL]; ROWS] {
        use std::arch::x86_64::__m256i;
        let zero: __m256i = pulp::cast([0_i32; PANEL / 2]);
        let mut sums = [[zero; 2]; ROWS];
        for (pairs, step) in inputs.iter().zip(panel) {
            let weights = step.map(|half| self.avx2._mm256_cvtepi8_epi16(pulp::cast(half)));
            for (sums, pair) in sums.iter_mut().zip(pairs) {
                let pair = self.avx._mm256_set1_epi32(pulp::cast(*pair));
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    let products = self.avx2._mm256_madd_epi16(pair, weights);
                    *sum = self.avx2._mm256_add_epi32(*sum, products);
                }
            }
        }
        sums.map(pulp::cast)
    }

    #[inline(always)]
    fn multiply_floats(self, [a, b, c, d]: [&[f32]; 4], columns: &[Lanes]) -> [Lanes; 4] {
        use std::arch::x86_64::__m256;
        let zero: __m256 = pulp::cast([0.0_f32; PANEL / 2]);
        let mut sums = [[zero; 2]; 4];
        for ((((lanes, a), b), c), d) in columns.iter().zip(a).zip(b).zip(c).zip(d) {
            let lanes: [__m256; 2] = pulp::cast(*lanes);
            for (sums, factor) in sums.iter_mut().zip([a, b, c, d]) {
                let factor = self.avx._mm256_set1_ps(*factor);
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    // A fused multiplication would round differently from other machines.
                    *sum = self.avx._mm256_add_ps(*sum, self.avx._mm256_mul_ps(factor, lanes));
                }
            }
        }
        sums.map(pulp::cast)
    }
}

/// Rounded inputs in blocks of rows. In a block, the pairs of all rows at one place are neighbors.
#[derive(Default)]
pub(super) struct Levels {
    pairs: Vec<[i16; 2]>,
    /// The value of one level of each row.
    scales: Vec<f32>,
}

impl Levels {
    #[inline(always)]
    fn round(&mut self, inputs: &[f32], width: usize, max_level: f32) {
        // Adding 1.5 * 2^23 rounds to an integer, which is then in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let count = inputs.len() / width;
        self.pairs.resize(inputs.len() / 2, [0; 2]);
        self.scales.clear();
        let mut rows = inputs.chunks_exact(width);
        let mut pairs = self.pairs.as_mut_slice();
        while self.scales.len() < count {
            let block = block(count - self.scales.len());
            let (places, rest) = pairs.split_at_mut(block * width / 2);
            pairs = rest;
            for (number, row) in rows.by_ref().take(block).enumerate() {
                let largest = largest(row).max(f32::MIN_POSITIVE);
                let factor = max_level / largest;
                let level = |input: f32| ((input * factor + ROUND).to_bits() as u16).cast_signed();
                for (place, pair) in places.chunks_exact_mut(block).zip(row.as_chunks::<2>().0) {
                    if let Some(place) = place.get_mut(number) {
                        *place = pair.map(level);
                    }
                }
                self.scales.push(largest / max_level);
            }
        }
    }
}

/// Returns the rows of the next block. Six rows use all registers of AVX2.
#[inline(always)]
const fn block(rest: usize) -> usize {
    match rest {
        6.. => 6,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// The weights of a layer that maps rows of inputs to rows of outputs.
pub(super) struct Dense {
    panels: Vec<Step>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    max_level: f32,
}

impl Dense {
    /// Creates a layer from one row of small integers per output, and the scale and the bias of
    /// each row. Returns `None` if the outputs fill no panels or the inputs no pairs.
    pub(super) fn new(rows: &[u8], scales: Vec<f32>, bias: Vec<f32>, inputs: usize) -> Option<Self> {
        if inputs == 0 || !inputs.is_multiple_of(2) || !scales.len().is_multiple_of(PANEL) {
            return None;
        }
        let mut panels = Vec::with_capacity(rows.len() / (2 * PANEL));
        for outputs in rows.chunks_exact(inputs * PANEL) {
            let first = panels.len();
            panels.resize(first + inputs / 2, Step::default());
            for (output, row) in outputs.chunks_exact(inputs).enumerate() {
                let steps = panels.get_mut(first..).unwrap_or_default();
                for (step, pair) in steps.iter_mut().zip(row.as_chunks::<2>().0) {
                    let weights = step.as_flattened_mut().as_chunks_mut::<2>().0;
                    if let Some(weights) = weights.get_mut(output) {
                        *weights = pair.map(u8::cast_signed);
                    }
                }
            }
        }
        // A sum of products must fit into 31 bits.
        let max_level = MAX_LEVEL.min((i32::MAX as usize / 128 / inputs) as f32);
        Some(Self { panels, scales, bias, inputs, max_level })
    }

    /// Computes the outputs of each row of inputs. Both slices hold the same number of rows.
    #[inline(always)]
    pub(super) fn apply<M: Machine>(
        &self,
        machine: M,
        inputs: &[f32],
        outputs: &mut [f32],
        levels: &mut Levels,
    ) {
        levels.round(inputs, self.inputs, self.max_level);
        for (panel, steps) in self.panels.chunks_exact(self.inputs / 2).enumerate() {
            let mut row = 0;
            while row < levels.scales.len() {
                row += match block(levels.scales.len() - row) {
                    6 => self.rows::<M, 6>(machine, levels, row, panel, steps, outputs),
                    4 => self.rows::<M, 4>(machine, levels, row, panel, steps, outputs),
                    2 => self.rows::<M, 2>(machine, levels, row, panel, steps, outputs),
                    _ => self.rows::<M, 1>(machine, levels, row, panel, steps, outputs),
                };
            }
        }
    }

    #[inline(always)]
    fn rows<M: Machine, const ROWS: usize>(
        &self,
        machine: M,
        levels: &Levels,
        first: usize,
        panel: usize,
        steps: &[Step],
        outputs: &mut [f32],
    ) -> usize {
        let pairs = levels.pairs.get(first * self.inputs / 2..).unwrap_or_default();
        let sums = machine.multiply(pairs.as_chunks::<ROWS>().0, steps);
        let columns = panel * PANEL..(panel + 1) * PANEL;
        let scales = self.scales.get(columns.clone()).unwrap_or_default();
        let bias = self.bias.get(columns.clone()).unwrap_or_default();
        let outputs = outputs.chunks_exact_mut(self.scales.len()).skip(first);
        for ((outputs, sums), level) in outputs.zip(sums).zip(levels.scales.iter().skip(first)) {
            let outputs = outputs.get_mut(columns.clone()).unwrap_or_default();
            for (((output, sum), scale), bias) in outputs.iter_mut().zip(sums).zip(scales).zip(bias) {
                *output = sum as f32 * (level * scale) + bias;
            }
        }
        ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: usize = 62;
    const OUTPUTS: usize = 48;

    fn layer(weight: impl Fn(usize) -> i8) -> Dense {
        let rows: Vec<u8> = (0..INPUTS * OUTPUTS).map(|place| weight(place).cast_unsigned()).collect();
        let scales = (0..OUTPUTS).map(|output| 0.01 + output as f32 / 1e3).collect();
        let bias = (0..OUTPUTS).map(|output| output as f32).collect();
        Dense::new(&rows, scales, bias, INPUTS).unwrap()
    }

    fn weight(place: usize) -> i8 {
        ((place * 37 % 251) as u8).cast_signed()
    }

    fn outputs(layer: &Dense, machine: impl Machine, inputs: &[f32]) -> Vec<f32> {
        let mut outputs = vec![0.0; inputs.len() / INPUTS * OUTPUTS];
        layer.apply(machine, inputs, &mut outputs, &mut Levels::default());
        outputs
    }

    fn inputs(rows: usize) -> Vec<f32> {
        (0..rows * INPUTS).map(|place| ((place * 53 % 211) as f32 - 100.0) / 7.0).collect()
    }

    #[test]
    fn a_product_is_that_of_the_definition() {
        let layer = layer(weight);
        for rows in 1..=13 {
            let inputs = inputs(rows);
            let found = outputs(&layer, Portable, &inputs);
            for (row, inputs) in inputs.chunks(INPUTS).enumerate() {
                for output in 0..OUTPUTS {
                    let products = inputs
                        .iter()
                        .enumerate()
                        .map(|(place, input)| f64::from(*input) * f64::from(weight(output * INPUTS + place)));
                    let exact = products.sum::<f64>() * (0.01 + output as f64 / 1e3) + output as f64;
                    let found = f64::from(found[row * OUTPUTS + output]);
                    assert!((found - exact).abs() < 0.3, "{row} {output}: {found} {exact}");
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vector_instructions_give_equal_bits() {
        let Some(machine) = pulp::x86::V3::try_new() else { return };
        let layer = layer(weight);
        for rows in 1..=13 {
            assert_eq!(outputs(&layer, machine, &inputs(rows)), outputs(&layer, Portable, &inputs(rows)));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vector_instructions_give_equal_bits_for_floats() {
        let Some(machine) = pulp::x86::V3::try_new() else { return };
        let row = |shift: usize| -> Vec<f32> {
            (0..33).map(|place| ((place + shift) * 53 % 97) as f32 / 7.0 - 6.0).collect()
        };
        let rows = [1, 2, 3, 4].map(row);
        let rows = rows.each_ref().map(Vec::as_slice);
        let columns: Vec<Lanes> = (0..33)
            .map(|place| std::array::from_fn(|lane| ((place * 16 + lane) * 31 % 89) as f32 / 3.0))
            .collect();
        let found = machine.multiply_floats(rows, &columns);
        let bits = |lanes: [Lanes; 4]| lanes.map(|lanes| lanes.map(f32::to_bits));
        assert_eq!(bits(found), bits(Portable.multiply_floats(rows, &columns)));
        let exact: f32 = rows[2].iter().zip(&columns).map(|(factor, lanes)| factor * lanes[5]).sum();
        assert!((found[2][5] - exact).abs() < 0.01);
    }

    #[test]
    fn extreme_weights_and_inputs_do_not_overflow() {
        let layer = layer(|_| i8::MIN);
        for input in [0.0, 1e30, -1e30, f32::MIN_POSITIVE] {
            assert!(outputs(&layer, Portable, &[input; INPUTS]).iter().all(|output| output.is_finite()));
        }
        let wide = Dense::new(&vec![0x80; 16 * 8_192], vec![1.0; 16], vec![0.0; 16], 8_192).unwrap();
        let mut outputs = [0.0; 16];
        wide.apply(Portable, &vec![3.0; 8_192], &mut outputs, &mut Levels::default());
        assert!((outputs[0] + 3.0 * 128.0 * 8_192.0).abs() < 100.0);
    }
}
