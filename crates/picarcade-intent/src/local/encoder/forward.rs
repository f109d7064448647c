//! The forward pass: numbers of pieces to scores of senses.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

use crate::Facts;
use crate::local::encoder::math::{add, dot, gelu, normalize, softmax};
use crate::local::encoder::weights::{Layer, Norm, Sizes, Weights};
use crate::local::encoder::words::Words;
use crate::local::sense::Sense;

/// The numbers of all tokens between two steps, allocated once per prompt.
struct Buffers {
    /// The state of each token.
    state: Vec<f32>,
    /// The change that a layer adds to the state.
    change: Vec<f32>,
    /// Queries, keys and values of each token.
    attention_in: Vec<f32>,
    /// The mixed values of each token.
    mixed: Vec<f32>,
    /// How much each token attends to each other.
    shares: Array2<f32>,
    expanded: Vec<f32>,
}

impl Buffers {
    fn new(sizes: Sizes, tokens: usize) -> Self {
        let rows = |width: usize| vec![0.0; tokens * width];
        Self {
            state: rows(sizes.hidden),
            change: rows(sizes.hidden),
            attention_in: rows(3 * sizes.hidden),
            mixed: rows(sizes.hidden),
            shares: Array2::zeros((tokens, tokens)),
            expanded: rows(sizes.feed_forward),
        }
    }
}

/// Returns the score of each sense.
pub(super) fn scores(words: &Words, weights: &Weights, tokens: &[u32], facts: Facts) -> [f32; Sense::COUNT] {
    let sizes = weights.sizes;
    let mut buffers = Buffers::new(sizes, tokens.len());
    for (row, token) in buffers.state.chunks_exact_mut(sizes.hidden).zip(tokens) {
        words.add(*token, row);
    }
    place(weights, facts, &mut buffers.state);
    for layer in &weights.layers {
        attend(layer, sizes, &mut buffers);
        add_and_normalize(&mut buffers.state, &buffers.change, &layer.attention_norm);
        layer.expand.apply(&buffers.state, &mut buffers.expanded);
        gelu(&mut buffers.expanded);
        layer.reduce.apply(&buffers.expanded, &mut buffers.change);
        add_and_normalize(&mut buffers.state, &buffers.change, &layer.output_norm);
    }
    let mut mean = vec![0.0; sizes.hidden];
    for row in buffers.state.chunks_exact(sizes.hidden) {
        add(&mut mean, row);
    }
    let mut scores = [0.0; Sense::COUNT];
    let rows = weights.head.chunks_exact(sizes.hidden);
    for ((score, row), bias) in scores.iter_mut().zip(rows).zip(weights.bias(facts)) {
        *score = dot(row, &mean) / tokens.len() as f32 + bias;
    }
    scores
}

/// Adds to the word of each token its position, and to the first token the facts.
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

/// Writes the change that the attention of a layer adds to the state.
fn attend(layer: &Layer, sizes: Sizes, buffers: &mut Buffers) {
    let Buffers { state, change, attention_in, mixed, shares, .. } = buffers;
    layer.attention_in.apply(state, attention_in);
    let tokens = shares.nrows();
    let width = sizes.hidden / sizes.heads;
    let scale = 1.0 / (width as f32).sqrt();
    if let Ok(inputs) = ArrayView2::from_shape((tokens, 3 * sizes.hidden), attention_in)
        && let Ok(mut mixed) = ArrayViewMut2::from_shape((tokens, sizes.hidden), mixed)
    {
        // Columns of queries, then of keys, then of values, each in the order of the heads.
        let columns = || inputs.axis_chunks_iter(Axis(1), width);
        let queries = columns();
        let keys = columns().skip(sizes.heads);
        let values = columns().skip(2 * sizes.heads);
        let results = mixed.axis_chunks_iter_mut(Axis(1), width);
        for (((query, key), value), mut result) in queries.zip(keys).zip(values).zip(results) {
            general_mat_mul(scale, &query, &key.t(), 0.0, shares);
            for mut row in shares.rows_mut() {
                softmax(row.as_slice_mut().unwrap_or_default());
            }
            general_mat_mul(1.0, shares, &value, 0.0, &mut result);
        }
    }
    layer.attention_out.apply(mixed, change);
}

fn add_and_normalize(state: &mut [f32], change: &[f32], norm: &Norm) {
    let width = norm.weight.len();
    for (row, change) in state.chunks_exact_mut(width).zip(change.chunks_exact(width)) {
        add(row, change);
        normalize(row, &norm.weight, &norm.bias);
    }
}
