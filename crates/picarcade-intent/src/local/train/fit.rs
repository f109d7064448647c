//! Fits the weights.
//!
//! Multinomial logistic regression on the hashed features by AdaGrad (Duchi, Hazan, Singer 2011),
//! with a few percent of label smoothing and random feature dropout. Both prevent overfitting to
//! the templates. Features that are rare in the examples are removed. The weights are rounded to
//! four bits. One temperature per regime is fitted on templates that the weights never saw (Guo et
//! al. 2017), with the code that classifies. Then the weights are fitted once more to all templates
//! and keep that temperature.

use std::collections::HashMap;

use crate::local::classifier::{LocalClassifier, softmax};
use crate::local::feature::{Group, extract, length, scale};
use crate::local::model::{self, ROWS, check_of, pair_of};
use crate::local::sense::{Regime, Sense};
use crate::local::token::Text;
use crate::local::train::corpus::Corpus;
use crate::local::train::generate::{Example, generate};
use crate::local::train::random::Random;

/// Examples per language and sense.
const EACH: usize = 6_500;
const EPOCHS: usize = 6;
const RATE: f32 = 0.15;
const SMOOTHING: f32 = 0.04;
const DROPOUT: f64 = 0.4;
const DECAY: f32 = 1e-6;
/// The minimum number of examples with a feature.
const SEEN: u32 = 5;
/// The smallest weight that is stored.
const STEP: f32 = 0.04;
/// How much sharper the final model is than the temperature says. Held-out templates are harder
/// than what people write, and the final model has learned from them too. Chosen by hand after a
/// look at both judged sets.
const SHARPER: f32 = 1.2;
const SEED: u64 = 7;

/// A trained model.
#[derive(Debug)]
pub struct Trained {
    /// The bytes of the model file.
    pub file: Vec<u8>,
    /// The number of examples that the weights were fitted to.
    pub examples: usize,
    /// How many features deserved a row, and how many of them got one.
    pub features: (usize, usize),
    /// The share of held-out examples whose sense is found by the model that never saw them.
    pub held_out_accuracy: f64,
}

/// Trains a model on a corpus. Deterministic; takes about 90 seconds of one processor.
pub fn train(corpus: &Corpus) -> Trained {
    train_on(&generate(corpus, EACH, SEED))
}

fn train_on(examples: &[Example]) -> Trained {
    let (held_out, seen): (Vec<&Example>, Vec<&Example>) =
        examples.iter().partition(|example| example.held_out);
    let draft: &'static [u8] = Fitted::to(&seen).file([1.0; Regime::COUNT]).leak();
    let (sharpness, held_out_accuracy) = match LocalClassifier::parse(draft) {
        Ok(classifier) => calibrate(&classifier, &held_out),
        Err(_) => ([1.0; Regime::COUNT], 0.0),
    };
    let all: Vec<&Example> = examples.iter().collect();
    let fitted = Fitted::to(&all);
    Trained {
        file: fitted.file(sharpness.map(|sharpness| sharpness * SHARPER)),
        examples: all.len(),
        features: (fitted.weights.len(), fitted.placed()),
        held_out_accuracy,
    }
}

/// The value of one unit of the integer weight of a feature.
const VALUE: f32 = 0.1;

type Row = [f32; Sense::COUNT];

struct Prepared {
    /// The indices of known features, and their values.
    features: Vec<(u32, f32)>,
    sense: Sense,
}

/// Weights by feature.
struct Fitted {
    hashes: Vec<u32>,
    counts: Vec<u32>,
    weights: Vec<Row>,
}

impl Fitted {
    fn to(examples: &[&Example]) -> Self {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        let raw: Vec<Vec<(u32, f32)>> = examples
            .iter()
            .map(|example| {
                let features = features(example);
                for (hash, _) in &features {
                    *counts.entry(*hash).or_default() += 1;
                }
                features
            })
            .collect();
        let mut hashes: Vec<u32> =
            counts.iter().filter(|(_, count)| **count >= SEEN).map(|(hash, _)| *hash).collect();
        hashes.sort_unstable();
        let index: HashMap<u32, u32> = hashes.iter().zip(0..).map(|(hash, at)| (*hash, at)).collect();
        let known = |features: Vec<(u32, f32)>| {
            features.into_iter().filter_map(|(hash, value)| index.get(&hash).map(|at| (*at, value))).collect()
        };
        let prepared: Vec<Prepared> = raw
            .into_iter()
            .zip(examples)
            .map(|(features, example)| Prepared { features: known(features), sense: example.sense })
            .collect();
        let counts = hashes.iter().map(|hash| counts.get(hash).copied().unwrap_or_default()).collect();
        let weights = fit(&prepared, hashes.len());
        Self { hashes, counts, weights }
    }

    /// Returns the rows of the model file. The most important features are placed first.
    fn rows(&self) -> Vec<(u8, Row)> {
        let mut rows = vec![(0, [0.0; Sense::COUNT]); ROWS];
        let weight = |at: usize| {
            let (count, row) = self.counts.get(at).zip(self.weights.get(at))?;
            let spread = row.iter().map(|weight| weight * weight).sum::<f32>();
            Some(spread * (*count as f32).sqrt())
        };
        let mut order: Vec<usize> = (0..self.weights.len()).collect();
        order.sort_by(|a, b| weight(*b).unwrap_or(0.0).total_cmp(&weight(*a).unwrap_or(0.0)));
        for at in order {
            let (Some(&hash), Some(weights)) = (self.hashes.get(at), self.weights.get(at)) else { continue };
            let check = check_of(hash);
            let pair = rows.get_mut(2 * pair_of(hash)..2 * pair_of(hash) + 2).unwrap_or_default();
            if pair.iter().any(|(taken, _)| *taken == check) {
                continue;
            }
            if let Some(free) = pair.iter_mut().find(|(taken, _)| *taken == 0) {
                *free = (check, weights.map(|weight| weight / STEP));
            }
        }
        rows
    }

    fn placed(&self) -> usize {
        self.rows().iter().filter(|(check, _)| *check != 0).count()
    }

    fn file(&self, sharpness: [f32; Regime::COUNT]) -> Vec<u8> {
        model::write(STEP * VALUE, sharpness, &self.rows())
    }
}

fn features(example: &Example) -> Vec<(u32, f32)> {
    let text = Text::read(&example.prompt);
    let shrink = scale(length(&text));
    let mut features = Vec::new();
    extract(&text, example.regime, |group, hash, value| {
        features.push((hash, value as f32 * VALUE * if group == Group::Words { shrink } else { 1.0 }));
    });
    features
}

fn fit(examples: &[Prepared], features: usize) -> Vec<Row> {
    let mut weights: Vec<Row> = vec![[0.0; Sense::COUNT]; features];
    let mut squares: Vec<Row> = vec![[1e-2; Sense::COUNT]; features];
    let mut order: Vec<usize> = (0..examples.len()).collect();
    let mut random = Random::new(SEED + 1);
    let mut kept = Vec::new();
    for _ in 0..EPOCHS {
        random.shuffle(&mut order);
        for example in order.iter().filter_map(|&at| examples.get(at)) {
            kept.clear();
            kept.extend(example.features.iter().filter(|_| !random.chance(DROPOUT)));
            let mut scores = [0.0; Sense::COUNT];
            for &(feature, value) in &kept {
                for (score, weight) in
                    scores.iter_mut().zip(weights.get(feature as usize).into_iter().flatten())
                {
                    *score += weight * value;
                }
            }
            let mut gradient = softmax(scores, 1.0);
            for (at, slope) in gradient.iter_mut().enumerate() {
                let wanted = if at == example.sense as usize { 1.0 - SMOOTHING } else { 0.0 };
                *slope -= wanted + SMOOTHING / Sense::COUNT as f32;
            }
            for &(feature, value) in &kept {
                let at = feature as usize;
                let Some((row, squares)) = weights.get_mut(at).zip(squares.get_mut(at)) else { continue };
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

/// Returns the sharpness of each regime with the lowest loss, and the accuracy over all.
fn calibrate(classifier: &LocalClassifier, held_out: &[&Example]) -> ([f32; Regime::COUNT], f64) {
    let scored: Vec<(Row, &Example)> = held_out
        .iter()
        .map(|example| (classifier.scores(&example.prompt, example.regime), *example))
        .collect();
    let mut sharpness = [1.0; Regime::COUNT];
    for (regime, best) in sharpness.iter_mut().enumerate() {
        let of: Vec<_> = scored.iter().filter(|(_, example)| example.regime as usize == regime).collect();
        let loss = |sharpness: f32| -> f64 {
            let each = of.iter().map(|(scores, example)| {
                let probability =
                    softmax(*scores, sharpness).get(example.sense as usize).copied().unwrap_or(0.0);
                -f64::from(probability.max(1e-9)).ln()
            });
            each.sum()
        };
        let candidates = (4..60).map(|steps| steps as f32 * 0.05);
        *best = candidates.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    }
    let right = scored.iter().filter(|(scores, example)| {
        let best = (0..Sense::COUNT).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        best == Some(example.sense as usize)
    });
    (sharpness, right.count() as f64 / scored.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Facts;

    const CORPUS: &str =
        "[picture]\na house\na tree\ndraw a cat\n[edit]\nmake the sky blue\nremove the hat\n";

    #[test]
    fn training_learns_its_corpus_and_gives_the_same_bytes_again() {
        let train = || train_on(&generate(&Corpus::parse(&[CORPUS]).unwrap(), 500, SEED));
        let trained = train();
        assert_eq!(trained.file, train().file);
        let classifier = LocalClassifier::parse(trained.file.leak()).unwrap();
        let image = Facts { active_image: true, ..Facts::default() };
        assert_eq!(classifier.goals("remove the hat", image).best().0, crate::Goal::Edit);
        assert_eq!(classifier.goals("draw a cat", image).best().0, crate::Goal::CreateImage);
    }
}
