//! Fits the weights.
//!
//! Multinomial logistic regression on the hashed features by AdaGrad (Duchi, Hazan, Singer 2011),
//! with a few percent of label smoothing and random feature dropout. Both prevent overfitting to
//! the templates. Features that are rare in the examples are removed. The weights are rounded to
//! four bits. One temperature per regime is fitted on labeled prompts from other sources (Guo et
//! al. 2017), with the code that classifies.
//!
//! A label of a person names a goal, which several senses may lead to. Its loss is the negative
//! logarithm of their probabilities together.

use std::collections::HashMap;

use crate::Goal;
use crate::evaluation::{Label, Labeled};
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
/// How often a labeled prompt counts, against once for each generated example.
const REPEATS: usize = 10;
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
}

/// Labeled prompts for a training, in addition to the corpus.
#[derive(Debug, Clone, Copy, Default)]
pub struct LabeledPrompts<'a> {
    /// Prompts to learn from. Each counts ten times as much as a generated example.
    pub learn: &'a [Labeled],
    /// Prompts to calibrate on, from other sources.
    pub calibrate: &'a [Labeled],
}

/// Trains a model on a corpus and on labeled prompts. Deterministic; takes two minutes of one
/// processor.
pub fn train(corpus: &Corpus, labeled: LabeledPrompts<'_>) -> Trained {
    train_on(&generate(corpus, EACH, SEED), labeled)
}

fn train_on(generated: &[Example], labeled: LabeledPrompts<'_>) -> Trained {
    let learn: Vec<Target> = labeled.learn.iter().filter_map(Target::labeled).collect();
    let mut targets: Vec<Target> = generated.iter().map(Target::generated).collect();
    for _ in 0..REPEATS {
        targets.extend_from_slice(&learn);
    }
    let fitted = Fitted::to(&targets);
    let plain: &'static [u8] = fitted.file([1.0; Regime::COUNT]).leak();
    let unseen: Vec<Target> = labeled.calibrate.iter().filter_map(Target::labeled).collect();
    let sharpness = LocalClassifier::parse(plain)
        .map_or([1.0; Regime::COUNT], |classifier| calibrate(&classifier, &unseen));
    Trained {
        file: fitted.file(sharpness),
        examples: generated.len() + learn.len(),
        features: (fitted.weights.len(), fitted.placed()),
    }
}

/// The value of one unit of the integer weight of a feature.
const VALUE: f32 = 0.1;

type Row = [f32; Sense::COUNT];

/// A prompt, and how much of each sense is right for it.
#[derive(Debug, Clone)]
struct Target {
    prompt: String,
    regime: Regime,
    shares: Row,
}

impl Target {
    fn generated(example: &Example) -> Self {
        let mut shares = [0.0; Sense::COUNT];
        if let Some(share) = shares.get_mut(example.sense as usize) {
            *share = 1.0;
        }
        Self { prompt: example.prompt.clone(), regime: example.regime, shares }
    }

    /// Returns the target of a label that names a goal.
    fn labeled(labeled: &Labeled) -> Option<Self> {
        let Label::Goal(goal) = labeled.label else { return None };
        let regime = Regime::of(labeled.facts);
        let prompt = crate::words::words(&labeled.prompt);
        Some(Self { prompt, regime, shares: Sense::ALL.map(|sense| share(sense, goal, regime)) })
    }

    /// Returns the negative logarithm of the probability that the target has.
    fn loss(&self, senses: Row) -> f64 {
        let right: f32 = senses.iter().zip(self.shares).map(|(sense, share)| sense * share).sum();
        -f64::from(right.max(1e-9)).ln()
    }
}

/// Returns how much of a sense is a goal under a regime.
fn share(sense: Sense, goal: Goal, regime: Regime) -> f32 {
    sense.goals(regime).iter().filter(|(own, _)| *own == goal).map(|(_, share)| share).sum()
}

struct Prepared {
    /// The indices of known features, and their values.
    features: Vec<(u32, f32)>,
    shares: Row,
}

/// Weights by feature.
struct Fitted {
    hashes: Vec<u32>,
    counts: Vec<u32>,
    weights: Vec<Row>,
}

impl Fitted {
    fn to(examples: &[Target]) -> Self {
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
            .map(|(features, example)| Prepared { features: known(features), shares: example.shares })
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

fn features(example: &Target) -> Vec<(u32, f32)> {
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
            let right: f32 = gradient.iter().zip(example.shares).map(|(sense, share)| sense * share).sum();
            for (slope, share) in gradient.iter_mut().zip(example.shares) {
                let wanted = *slope * share / right.max(f32::MIN_POSITIVE);
                *slope -= (1.0 - SMOOTHING) * wanted + SMOOTHING / Sense::COUNT as f32;
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

/// Returns the sharpness of each regime with the lowest loss; 1 for a regime without prompts.
fn calibrate(classifier: &LocalClassifier, unseen: &[Target]) -> [f32; Regime::COUNT] {
    let mut sharpness = [1.0; Regime::COUNT];
    for (number, best) in sharpness.iter_mut().enumerate() {
        let of: Vec<(Row, &Target)> = unseen
            .iter()
            .filter(|target| target.regime as usize == number)
            .map(|target| (classifier.scores(&target.prompt, target.regime), target))
            .collect();
        if of.is_empty() {
            continue;
        }
        let loss = |sharpness: f32| -> f64 {
            let senses = |scores, regime| Sense::weigh(softmax(scores, sharpness), regime);
            of.iter().map(|(scores, target)| target.loss(senses(*scores, target.regime))).sum()
        };
        let candidates = (4..60).map(|steps| steps as f32 * 0.05);
        *best = candidates.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    }
    sharpness
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Facts;

    const CORPUS: &str =
        "[picture]\na house\na tree\ndraw a cat\n[edit]\nmake the sky blue\nremove the hat\n";

    #[test]
    fn training_learns_its_corpus_and_gives_the_same_bytes_again() {
        let train =
            || train_on(&generate(&Corpus::parse(&[CORPUS]).unwrap(), 500, SEED), LabeledPrompts::default());
        let trained = train();
        assert_eq!(trained.file, train().file);
        let classifier = LocalClassifier::parse(trained.file.leak()).unwrap();
        let image = Facts { active_image: true, ..Facts::default() };
        assert_eq!(classifier.goals("remove the hat", image).best().0, Goal::Edit);
        assert_eq!(classifier.goals("draw a cat", image).best().0, Goal::CreateImage);
    }
}
