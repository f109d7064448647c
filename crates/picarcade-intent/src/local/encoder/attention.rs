//! The attention between the tokens of a prompt, in floats.
//!
//! Both factors of its products change with every prompt, so no weights can be prepared. Sixteen
//! columns of four rows at a time stay in the registers.

#![expect(clippy::inline_always, reason = "the vector instructions of the caller must apply inside")]

use crate::local::encoder::dense::{Lanes, Machine, PANEL};
use crate::local::encoder::math::softmax;

/// The columns that are computed at a time. The width of a head is a multiple of it.
pub(super) const LANES: usize = PANEL;

/// A matrix in panels of sixteen columns; each panel holds its part of every row.
type Panels = Vec<Lanes>;

/// The numbers of one head, reused for all heads and layers.
#[derive(Default)]
pub(super) struct Attention {
    queries: Vec<f32>,
    keys: Panels,
    values: Panels,
    /// How much each token attends to each other.
    shares: Vec<f32>,
    mixed: Vec<f32>,
}

impl Attention {
    /// Mixes the values of all tokens for each token.
    ///
    /// A row of `inputs` has the queries of all heads, then the keys, then the values. A row of
    /// `outputs` has the mixed values of all heads.
    #[inline(always)]
    pub(super) fn apply<M: Machine>(
        &mut self,
        machine: M,
        inputs: &[f32],
        outputs: &mut [f32],
        hidden: usize,
        heads: usize,
    ) {
        let width = hidden / heads;
        let tokens = inputs.len() / (3 * hidden);
        let padded = tokens.next_multiple_of(LANES);
        for head in 0..heads {
            self.read(inputs, hidden, head * width, width, tokens);
            self.shares.resize(tokens * padded, 0.0);
            multiply(machine, &self.queries, width, width, &self.keys, &mut self.shares, padded);
            for row in self.shares.chunks_exact_mut(padded) {
                softmax(row.get_mut(..tokens).unwrap_or_default());
            }
            self.mixed.resize(tokens * width, 0.0);
            multiply(machine, &self.shares, padded, tokens, &self.values, &mut self.mixed, width);
            let rows = outputs.chunks_exact_mut(hidden).zip(self.mixed.chunks_exact(width));
            for (output, mixed) in rows {
                if let Some(part) = output.get_mut(head * width..(head + 1) * width) {
                    part.copy_from_slice(mixed);
                }
            }
        }
    }

    /// Copies the part of a head. Queries are scaled, and keys are transposed.
    #[inline(always)]
    fn read(&mut self, inputs: &[f32], hidden: usize, start: usize, width: usize, tokens: usize) {
        let Self { queries, keys, values, .. } = self;
        let scale = 1.0 / (width as f32).sqrt();
        queries.clear();
        keys.clear();
        keys.resize(tokens.div_ceil(LANES) * width, [0.0; LANES]);
        values.resize(tokens * width / LANES, [0.0; LANES]);
        for (token, row) in inputs.chunks_exact(3 * hidden).enumerate() {
            let part = |third: usize| {
                let start = third * hidden + start;
                row.get(start..start + width).unwrap_or_default()
            };
            queries.extend(part(0).iter().map(|query| query * scale));
            let panel = keys.iter_mut().skip(token / LANES * width);
            for (lanes, key) in panel.zip(part(1)) {
                if let Some(lane) = lanes.get_mut(token % LANES) {
                    *lane = *key;
                }
            }
            for (panel, chunk) in part(2).as_chunks::<LANES>().0.iter().enumerate() {
                if let Some(lanes) = values.get_mut(panel * tokens + token) {
                    *lanes = *chunk;
                }
            }
        }
    }
}

/// Multiplies rows with a matrix in panels.
///
/// A row has `stride` numbers, of which the first `inner` count, because a panel has `inner` rows.
/// Row `n` of the result begins at `n * result_stride`.
#[inline(always)]
fn multiply<M: Machine>(
    machine: M,
    rows: &[f32],
    stride: usize,
    inner: usize,
    panels: &[Lanes],
    results: &mut [f32],
    result_stride: usize,
) {
    for (number, panel) in panels.chunks_exact(inner).enumerate() {
        let columns = number * LANES..(number + 1) * LANES;
        let mut results = results.chunks_exact_mut(result_stride);
        for four in rows.chunks(4 * stride) {
            let mut numbers = four.chunks_exact(stride);
            // The last row stands for those behind it, whose results have no place.
            let count = numbers.len();
            let mut row: &[f32] = &[];
            let four = [(); 4].map(|()| {
                row = numbers.next().unwrap_or(row);
                row
            });
            let sums = machine.multiply_floats(four, panel);
            for sums in sums.into_iter().take(count) {
                let result = results.next().and_then(|result| result.get_mut(columns.clone()));
                if let Some(result) = result {
                    result.copy_from_slice(&sums);
                }
            }
        }
    }
}
