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

/// The weights of eight outputs for two inputs, twice.
type Step = [[i8; PANEL]; 2];

/// The greatest amount of a rounded input.
const MAX_LEVEL: f32 = 8_191.0;

/// How a machine multiplies.
pub(super) trait Machine: Copy {
    /// Multiplies some rows of inputs, in pairs, with a panel.
    fn multiply<const ROWS: usize>(self, rows: [&[[i16; 2]]; ROWS], panel: &[Step]) -> [[i32; PANEL]; ROWS];
}

/// A machine without known vector instructions.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Machine for Portable {
    #[inline(always)]
    fn multiply<const ROWS: usize>(self, rows: [&[[i16; 2]]; ROWS], panel: &[Step]) -> [[i32; PANEL]; ROWS] {
        rows.map(|row| {
            let mut sums = [0; PANEL];
            for ([first, second], step) in row.iter().zip(panel) {
                let weights = step.as_flattened().as_chunks::<2>().0;
                for (sum, [a, b]) in sums.iter_mut().zip(weights) {
                    *sum += i32::from(*first) * i32::from(*a) + i32::from(*second) * i32::from(*b);
                }
            }
            sums
        })
    }
}

/// AVX2: sixteen products per instruction.
#[cfg(target_arch = "x86_64")]
impl Machine for pulp::x86::V3 {
    #[inline(always)]
    fn multiply<const ROWS: usize>(self, rows: [&[[i16; 2]]; ROWS], panel: &[Step]) -> [[i32; PANEL]; ROWS] {
        use std::arch::x86_64::__m256i;
        let zero: __m256i = pulp::cast([0_i32; PANEL / 2]);
        let mut sums = [[zero; 2]; ROWS];
        // Equal lengths keep checks out of the loop.
        let rows = rows.map(|row| row.get(..panel.len()).unwrap_or_default());
        for (place, step) in panel.iter().enumerate() {
            let weights = step.map(|half| self.avx2._mm256_cvtepi8_epi16(pulp::cast(half)));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let pair = pulp::cast(row.get(place).copied().unwrap_or_default());
                let inputs = self.avx._mm256_set1_epi32(pair);
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    let products = self.avx2._mm256_madd_epi16(inputs, weights);
                    *sum = self.avx2._mm256_add_epi32(*sum, products);
                }
            }
        }
        sums.map(pulp::cast)
    }
}

/// Rows of rounded inputs.
#[derive(Default)]
pub(super) struct Levels {
    numbers: Vec<i16>,
    /// The value of one level of each row.
    scales: Vec<f32>,
}

impl Levels {
    #[inline(always)]
    fn round(&mut self, inputs: &[f32], width: usize, max_level: f32) {
        // Adding 1.5 * 2^23 rounds to an integer, which is then in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        self.numbers.resize(inputs.len(), 0);
        self.scales.clear();
        for (row, numbers) in inputs.chunks_exact(width).zip(self.numbers.chunks_exact_mut(width)) {
            let largest = largest(row).max(f32::MIN_POSITIVE);
            let factor = max_level / largest;
            for (number, input) in numbers.iter_mut().zip(row) {
                *number = ((input * factor + ROUND).to_bits() as u16).cast_signed();
            }
            self.scales.push(largest / max_level);
        }
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
            // Six rows use all registers of AVX2.
            let mut row = 0;
            while row < levels.scales.len() {
                row += match levels.scales.len() - row {
                    6.. => self.rows::<M, 6>(machine, levels, row, panel, steps, outputs),
                    4.. => self.rows::<M, 4>(machine, levels, row, panel, steps, outputs),
                    2.. => self.rows::<M, 2>(machine, levels, row, panel, steps, outputs),
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
        let mut numbers = levels.numbers.chunks_exact(self.inputs).skip(first);
        let rows = [(); ROWS].map(|()| numbers.next().unwrap_or_default().as_chunks::<2>().0);
        let sums = machine.multiply(rows, steps);
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

    #[test]
    fn extreme_weights_and_inputs_do_not_overflow() {
        let layer = layer(|_| i8::MIN);
        for input in [0.0, 1e30, -1e30, f32::MIN_POSITIVE] {
            assert!(outputs(&layer, Portable, &[input; INPUTS]).iter().all(|output| output.is_finite()));
        }
        let wide = Dense::new(&[0x80; 16 * 8_192], vec![1.0; 16], vec![0.0; 16], 8_192).unwrap();
        let mut outputs = [0.0; 16];
        wide.apply(Portable, &[3.0; 8_192], &mut outputs, &mut Levels::default());
        assert!((outputs[0] + 3.0 * 128.0 * 8_192.0).abs() < 100.0);
    }
}
