//! A tiny encoder with pseudorandom weights, its file, and a plain forward pass to compare with.
//!
//! The plain forward pass follows the papers with one loop per sum in `f64`. It shares no code with
//! `forward`.

use crate::Facts;
use crate::local::encoder::weights::CLASSES;
use crate::local::sense::Regime;

pub(super) const HIDDEN: usize = 64;
pub(super) const HEADS: usize = 4;
pub(super) const FEED_FORWARD: usize = 96;
pub(super) const POSITIONS: usize = 48;
const LAYERS: usize = 2;

/// The special pieces, and some pieces of the base model with its scores.
pub(super) const PIECES: [(&str, f32); 44] = [
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", -30.3648),
    ("▁", -3.9300),
    ("s", -5.0726),
    ("▁a", -5.5304),
    ("a", -5.5477),
    (":", -5.6297),
    ("e", -5.7019),
    ("i", -5.7854),
    ("n", -6.0935),
    ("!", -6.6166),
    ("▁que", -6.7326),
    ("y", -6.9764),
    ("/", -7.1583),
    ("▁the", -7.2831),
    ("k", -7.4716),
    ("▁of", -7.5736),
    ("▁с", -7.7410),
    ("l", -7.7620),
    ("ы", -8.1575),
    ("を", -8.2252),
    ("に", -8.4388),
    ("▁video", -9.6344),
    ("ry", -9.6911),
    ("line", -10.2138),
    ("~", -10.2326),
    (">", -10.3943),
    ("▁make", -10.5360),
    ("色", -10.7727),
    ("空", -11.0087),
    ("～", -11.0403),
    ("▁pur", -11.1941),
    ("кой", -11.2161),
    ("ple", -11.3253),
    ("▁видео", -11.4275),
    ("<", -11.8225),
    ("▁sky", -12.0288),
    ("▁муз", -12.2751),
    ("紫", -12.7112),
    ("▁आकाश", -13.5779),
    ("سماء", -13.7335),
    ("▁하늘", -13.7972),
];

/// One scale and one bias per output, and the rows of the outputs.
struct Matrix {
    scales: Vec<f32>,
    bias: Vec<f32>,
    rows: Vec<Vec<i8>>,
}

struct Layer {
    attention_in: Matrix,
    attention_out: Matrix,
    expand: Matrix,
    reduce: Matrix,
    norms: [Vec<f32>; 4],
}

/// Everything that the file contains after the vocabulary.
pub(super) struct Fixture {
    /// The scale of each block as `2^exponent`, and its nibbles in the order of the numbers.
    words: Vec<Vec<(i32, [u8; 32])>>,
    positions: Vec<Vec<f32>>,
    norm: [Vec<f32>; 2],
    facts: Vec<Vec<f32>>,
    layers: Vec<Layer>,
    head: Vec<Vec<f32>>,
    bias: Vec<Vec<f32>>,
    pub(super) sharpness: [f32; Regime::COUNT],
}

/// A generator of numbers (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn floats(&mut self, count: usize, middle: f32, spread: f32) -> Vec<f32> {
        (0..count).map(|_| middle + spread * ((self.next() % 2_001) as f32 / 1_000.0 - 1.0)).collect()
    }

    fn matrix(&mut self, outputs: usize, inputs: usize) -> Matrix {
        Matrix {
            scales: self.floats(outputs, 0.002, 0.001),
            bias: self.floats(outputs, 0.0, 0.3),
            rows: (0..outputs)
                .map(|_| (0..inputs).map(|_| ((self.next() % 255) as u8).cast_signed()).collect())
                .collect(),
        }
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        let mut numbers = Numbers(7);
        let block = |numbers: &mut Numbers| {
            (-(numbers.next() as i32 % 3) - 3, std::array::from_fn(|_| (numbers.next() % 16) as u8))
        };
        let words =
            (0..PIECES.len()).map(|_| (0..HIDDEN / 32).map(|_| block(&mut numbers)).collect()).collect();
        let rows = |numbers: &mut Numbers, count, width, spread| {
            (0..count).map(|_| numbers.floats(width, 0.0, spread)).collect()
        };
        Self {
            words,
            positions: rows(&mut numbers, POSITIONS, HIDDEN, 0.5),
            norm: [numbers.floats(HIDDEN, 1.0, 0.2), numbers.floats(HIDDEN, 0.0, 0.2)],
            facts: rows(&mut numbers, Facts::COUNT, HIDDEN, 1.0),
            layers: (0..LAYERS)
                .map(|_| Layer {
                    attention_in: numbers.matrix(3 * HIDDEN, HIDDEN),
                    attention_out: numbers.matrix(HIDDEN, HIDDEN),
                    expand: numbers.matrix(FEED_FORWARD, HIDDEN),
                    reduce: numbers.matrix(HIDDEN, FEED_FORWARD),
                    norms: [1.0, 0.0, 1.0, 0.0].map(|middle| numbers.floats(HIDDEN, middle, 0.2)),
                })
                .collect(),
            head: rows(&mut numbers, CLASSES, HIDDEN, 0.5),
            bias: rows(&mut numbers, Facts::COUNT, CLASSES, 0.5),
            sharpness: [1.0, 0.5, 2.0, 1.5],
        }
    }

    /// Returns the file, as `encoder/export.py` writes it.
    pub(super) fn file(&self) -> Vec<u8> {
        let sizes = [LAYERS, HIDDEN, HEADS, FEED_FORWARD, PIECES.len(), POSITIONS, CLASSES];
        self.file_with(1, sizes.map(|size| size as u32))
    }

    /// Returns the file with another version or other sizes, under a correct hash.
    pub(super) fn file_with(&self, version: u32, sizes: [u32; 7]) -> Vec<u8> {
        let mut file = b"PCENCOD\0".to_vec();
        for number in [version].into_iter().chain(sizes) {
            file.extend(number.to_le_bytes());
        }
        for (piece, _) in PIECES {
            file.push(piece.len() as u8);
            file.extend(piece.as_bytes());
        }
        floats(&mut file, &PIECES.map(|(_, score)| score));
        for (exponent, nibbles) in self.words.iter().flatten() {
            // A power of two as a 16-bit float.
            file.extend((((exponent + 15) as u16) << 10).to_le_bytes());
            file.extend((0..16).map(|place| nibbles[place] | nibbles[place + 16] << 4));
        }
        for row in self.positions.iter().chain(&self.norm).chain(&self.facts) {
            floats(&mut file, row);
        }
        for layer in &self.layers {
            for matrix in [&layer.attention_in, &layer.attention_out, &layer.expand, &layer.reduce] {
                floats(&mut file, &matrix.scales);
                floats(&mut file, &matrix.bias);
                file.extend(matrix.rows.iter().flatten().map(|weight| weight.cast_unsigned()));
            }
            for norm in &layer.norms {
                floats(&mut file, norm);
            }
        }
        for row in self.head.iter().chain(&self.bias) {
            floats(&mut file, row);
        }
        floats(&mut file, &self.sharpness);
        hashed(file)
    }

    /// Returns the score of each sense.
    pub(super) fn scores(&self, tokens: &[u32], facts: Facts) -> Vec<f64> {
        let mut state: Vec<Vec<f64>> = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            let word = self.words[*token as usize].iter().flat_map(|(exponent, nibbles)| {
                nibbles.map(|nibble| (f64::from(nibble) - 8.0) * f64::from(*exponent).exp2())
            });
            let mut row: Vec<f64> = word
                .zip(&self.positions[place])
                .map(|(word, position)| word + f64::from(*position))
                .collect();
            if place == 0 {
                for (value, fact) in row.iter_mut().zip(&self.facts[usize::from(facts.bits())]) {
                    *value += f64::from(*fact);
                }
            }
            state.push(norm(&row, &self.norm[0], &self.norm[1]));
        }
        for layer in &self.layers {
            let inputs: Vec<_> = state.iter().map(|row| product(&layer.attention_in, row)).collect();
            let attended: Vec<_> = (0..state.len()).map(|place| attend(&inputs, place)).collect();
            for (row, attended) in state.iter_mut().zip(attended) {
                let [weight, bias, output_weight, output_bias] = &layer.norms;
                *row = norm(&sum(row, &product(&layer.attention_out, &attended)), weight, bias);
                let expanded: Vec<f64> = product(&layer.expand, row).into_iter().map(gelu).collect();
                *row = norm(&sum(row, &product(&layer.reduce, &expanded)), output_weight, output_bias);
            }
        }
        let mean: Vec<f64> = (0..HIDDEN)
            .map(|column| state.iter().map(|row| row[column]).sum::<f64>() / tokens.len() as f64)
            .collect();
        let bias = &self.bias[usize::from(facts.bits())];
        self.head.iter().zip(bias).map(|(row, bias)| dot(row, &mean) + f64::from(*bias)).collect()
    }
}

/// Appends the hash of everything before.
pub(super) fn hashed(mut file: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&file);
    file.extend(hash.as_bytes());
    file
}

fn floats(file: &mut Vec<u8>, values: &[f32]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn dot(weights: &[f32], values: &[f64]) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| f64::from(*weight) * value).sum()
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn product(matrix: &Matrix, values: &[f64]) -> Vec<f64> {
    let rows = matrix.rows.iter().zip(&matrix.scales).zip(&matrix.bias);
    rows.map(|((row, scale), bias)| {
        let sum: f64 = row.iter().zip(values).map(|(weight, value)| f64::from(*weight) * value).sum();
        sum * f64::from(*scale) + f64::from(*bias)
    })
    .collect()
}

fn attend(inputs: &[Vec<f64>], place: usize) -> Vec<f64> {
    let width = HIDDEN / HEADS;
    let mut mixed = vec![0.0; HIDDEN];
    for head in 0..HEADS {
        let part = |row: usize, third: usize| &inputs[row][third * HIDDEN + head * width..][..width];
        let query = part(place, 0);
        let raised: Vec<f64> = (0..inputs.len())
            .map(|other| {
                let score: f64 = query.iter().zip(part(other, 1)).map(|(query, key)| query * key).sum();
                (score / (width as f64).sqrt()).exp()
            })
            .collect();
        let total: f64 = raised.iter().sum();
        for (other, raised) in raised.iter().enumerate() {
            for (mixed, value) in mixed[head * width..][..width].iter_mut().zip(part(other, 2)) {
                *mixed += raised / total * value;
            }
        }
    }
    mixed
}

fn norm(row: &[f64], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / row.len() as f64;
    let columns = row.iter().zip(weight).zip(bias);
    columns
        .map(|((value, weight), bias)| {
            (value - mean) / (variance + 1e-12).sqrt() * f64::from(*weight) + f64::from(*bias)
        })
        .collect()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}
