//! The forward pass: numbers of pieces to scores of senses and to what examples compare.

#![expect(clippy::inline_always, reason = "the vector instructions of the caller must apply inside")]

use crate::Facts;
use crate::local::encoder::attention::Attention;
use crate::local::encoder::dense::{Levels, Machine, Portable};
use crate::local::encoder::math::{add, dot, gelu, normalize};
use crate::local::encoder::weights::{CLASSES, Norm, Sizes, Weights};
use crate::local::encoder::words::Words;

/// What a forward pass finds.
pub(super) struct Output {
    /// The sum of the last layer over all tokens.
    pub(super) last: Vec<f32>,
    /// The score of each class.
    pub(super) scores: [f32; CLASSES],
}

/// Computes all layers and the head.
pub(super) fn run(words: &Words, weights: &Weights, tokens: &[u32], facts: Facts) -> Output {
    let pass = Pass { words, weights, tokens, facts };
    #[cfg(target_arch = "x86_64")]
    if let Some(machine) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(machine, WithAvx2(machine, pass));
    }
    pass.run(Portable)
}

/// The inputs of a forward pass.
struct Pass<'a> {
    words: &'a Words,
    weights: &'a Weights,
    tokens: &'a [u32],
    facts: Facts,
}

/// A forward pass that is compiled for AVX2.
#[cfg(target_arch = "x86_64")]
struct WithAvx2<'a>(pulp::x86::V3, Pass<'a>);

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for WithAvx2<'_> {
    type Output = Output;

    #[inline(always)]
    fn call(self) -> Self::Output {
        self.1.run(self.0)
    }
}

impl Pass<'_> {
    /// Computes all layers. The buffers are allocated once per prompt.
    #[inline(always)]
    fn run<M: Machine>(self, machine: M) -> Output {
        let Self { words, weights, tokens, facts } = self;
        let Sizes { hidden, heads, feed_forward, .. } = weights.sizes;
        let rows = |width: usize| vec![0.0; tokens.len() * width];
        let (mut state, mut change) = (rows(hidden), rows(hidden));
        let (mut inputs, mut mixed, mut expanded) = (rows(3 * hidden), rows(hidden), rows(feed_forward));
        let (mut levels, mut attention) = (Levels::default(), Attention::default());

        for (row, token) in state.chunks_exact_mut(hidden).zip(tokens) {
            words.add(*token, row);
        }
        place(weights, facts, &mut state);
        for layer in &weights.layers {
            layer.attention_in.apply(machine, &state, &mut inputs, &mut levels);
            attention.apply(machine, &inputs, &mut mixed, hidden, heads);
            layer.attention_out.apply(machine, &mixed, &mut change, &mut levels);
            add_and_normalize(&mut state, &change, &layer.attention_norm);
            layer.expand.apply(machine, &state, &mut expanded, &mut levels);
            gelu(&mut expanded);
            layer.reduce.apply(machine, &expanded, &mut change, &mut levels);
            add_and_normalize(&mut state, &change, &layer.output_norm);
        }
        let mut last = vec![0.0; hidden];
        for row in state.chunks_exact(hidden) {
            add(&mut last, row);
        }
        let mut scores = [0.0; CLASSES];
        let senses = weights.head.chunks_exact(hidden).zip(weights.bias(facts));
        for (score, (row, bias)) in scores.iter_mut().zip(senses) {
            *score = dot(row, &last) / tokens.len() as f32 + bias;
        }
        Output { last, scores }
    }
}

/// Adds to the word of each token its position, and to the first token the facts.
#[inline(always)]
fn place(weights: &Weights, facts: Facts, state: &mut [f32]) {
    let hidden = weights.sizes.hidden;
    let positions = weights.position_rows.chunks_exact(hidden);
    for (row, position) in state.chunks_exact_mut(hidden).zip(positions) {
        add(row, position);
    }
    if let Some(first) = state.get_mut(..hidden) {
        add(first, weights.fact_row(facts));
    }
    let Norm { weight, bias } = &weights.embedding_norm;
    for row in state.chunks_exact_mut(hidden) {
        normalize(row, weight, bias);
    }
}

#[inline(always)]
fn add_and_normalize(state: &mut [f32], change: &[f32], norm: &Norm) {
    let width = norm.weight.len();
    for (row, change) in state.chunks_exact_mut(width).zip(change.chunks_exact(width)) {
        add(row, change);
        normalize(row, &norm.weight, &norm.bias);
    }
}
