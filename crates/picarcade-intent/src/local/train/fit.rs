//! Fitting the weights.
//!
//! Multinomial logistic regression on the hashed features by AdaGrad (Duchi, Hazan, Singer 2011), with a few percent of
//! label smoothing and with random features left out, both against believing the templates too much. Then the weights
//! are rounded to bytes, and one temperature for each regime is fitted on templates that the weights never saw (Guo et
//! al. 2017), with the very code that classifies.

use crate::local::classifier::{LocalClassifier, softmax};
use crate::local::feature::{Group, extract, length, scale};
use crate::local::model::{self, LOG_BUCKETS};
use crate::local::sense::{Regime, Sense};
use crate::local::token::Text;
use crate::local::train::corpus::Corpus;
use crate::local::train::generate::{Example, generate};
use crate::local::train::random::Random;

const EACH: usize = 900;
const EPOCHS: usize = 6;
const RATE: f32 = 0.15;
const SMOOTHING: f32 = 0.04;
const DROPOUT: f64 = 0.2;
const DECAY: f32 = 1e-6;
const SEED: u64 = 7;

/// A trained model.
#[derive(Debug)]
pub struct Trained {
    /// The bytes of the model file.
    pub file: Vec<u8>,
    /// How many examples the weights were fitted to.
    pub examples: usize,
    /// The share of examples from held-out templates whose sense it finds.
    pub held_out_accuracy: f64,
}

struct Prepared {
    features: Vec<(u32, f32)>,
    sense: Sense,
}

/// Trains a model on a corpus. Deterministic; takes a minute or two.
pub fn train(corpus: &Corpus) -> Trained {
    let examples = generate(corpus, EACH, SEED);
    let fitted: Vec<Prepared> = examples.iter().filter(|example| !example.held_out).map(prepare).collect();
    let weights = fit(&fitted);
    let highest = weights.iter().flatten().fold(0.0_f32, |highest, weight| highest.max(weight.abs()));
    // A handful of extreme weights must not cost all others their precision.
    let step = (highest / 127.0).min(0.02);
    let rounded = || weights.iter().flatten().map(move |weight| (weight / step).round().clamp(-127.0, 127.0) as i8);
    let scales = [step * VALUE; Sense::COUNT];
    let draft: &'static [u8] = model::write(scales, [1.0; Regime::COUNT], rounded()).leak();
    let held_out: Vec<&Example> = examples.iter().filter(|example| example.held_out).collect();
    let (sharpness, held_out_accuracy) = match LocalClassifier::parse(draft) {
        Ok(classifier) => calibrate(&classifier, &held_out),
        Err(_) => ([1.0; Regime::COUNT], 0.0),
    };
    Trained { file: model::write(scales, sharpness, rounded()), examples: fitted.len(), held_out_accuracy }
}

/// What one unit of a feature's integer weight is worth.
const VALUE: f32 = 0.1;

fn prepare(example: &Example) -> Prepared {
    let text = Text::read(&example.prompt);
    let shrink = scale(length(&text));
    let mut features = Vec::new();
    extract(&text, example.regime, |group, hash, value| {
        let scaled = value as f32 * VALUE * if group == Group::Words { shrink } else { 1.0 };
        features.push((hash >> (32 - LOG_BUCKETS), scaled));
    });
    Prepared { features, sense: example.sense }
}

type Row = [f32; Sense::COUNT];

fn fit(examples: &[Prepared]) -> Vec<Row> {
    let mut weights: Vec<Row> = vec![[0.0; Sense::COUNT]; 1 << LOG_BUCKETS];
    let mut squares: Vec<Row> = vec![[1e-2; Sense::COUNT]; 1 << LOG_BUCKETS];
    let mut order: Vec<usize> = (0..examples.len()).collect();
    let mut random = Random::new(SEED + 1);
    let mut kept = Vec::new();
    for _ in 0..EPOCHS {
        random.shuffle(&mut order);
        for example in order.iter().filter_map(|&at| examples.get(at)) {
            kept.clear();
            kept.extend(example.features.iter().filter(|_| !random.chance(DROPOUT)));
            let mut scores = [0.0; Sense::COUNT];
            for &(bucket, value) in &kept {
                for (score, weight) in scores.iter_mut().zip(weights.get(bucket as usize).into_iter().flatten()) {
                    *score += weight * value;
                }
            }
            let mut gradient = softmax(scores, 1.0);
            for (at, slope) in gradient.iter_mut().enumerate() {
                let wanted = if at == example.sense as usize { 1.0 - SMOOTHING } else { 0.0 };
                *slope -= wanted + SMOOTHING / Sense::COUNT as f32;
            }
            for &(bucket, value) in &kept {
                let Some((row, squares)) = weights.get_mut(bucket as usize).zip(squares.get_mut(bucket as usize))
                else {
                    continue;
                };
                for ((weight, square), slope) in row.iter_mut().zip(squares).zip(gradient) {
                    let step = slope * value + DECAY * *weight;
                    *square += step * step;
                    *weight -= RATE * step / square.sqrt();
                }
            }
        }
    }
    weights
}

/// The sharpness of each regime with the least loss, and the accuracy over all.
fn calibrate(classifier: &LocalClassifier, held_out: &[&Example]) -> ([f32; Regime::COUNT], f64) {
    let scored: Vec<(Row, &Example)> =
        held_out.iter().map(|example| (classifier.scores(&example.prompt, example.regime), *example)).collect();
    let mut sharpness = [1.0; Regime::COUNT];
    for (regime, best) in sharpness.iter_mut().enumerate() {
        let of: Vec<_> = scored.iter().filter(|(_, example)| example.regime as usize == regime).collect();
        let loss = |sharpness: f32| -> f64 {
            let each = of.iter().map(|(scores, example)| {
                let probability = softmax(*scores, sharpness).get(example.sense as usize).copied().unwrap_or(0.0);
                -f64::from(probability.max(1e-9)).ln()
            });
            each.sum()
        };
        let candidates = (4..60).map(|tenths| tenths as f32 * 0.05);
        *best = candidates.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    }
    let right = scored.iter().filter(|(scores, example)| {
        let best = (0..Sense::COUNT).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        best == Some(example.sense as usize)
    });
    (sharpness, right.count() as f64 / scored.len().max(1) as f64)
}
