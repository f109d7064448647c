//! Accuracy, calibration, and the cost of errors.
//!
//! Every prompt is classified by a [`Classifier`], exactly as a request without an AI: by its facts
//! if they leave only one type, or else by its words. The prompt type counts, because it is what a
//! user gets.

use std::collections::BTreeMap;

use crate::evaluation::labeled::{Label, Labeled};
use crate::{Classifier, Media, PromptType, Request};

/// The difference in price from which a wrong answer is an expensive one, in micro-dollars.
const EXPENSIVE_MICROS: u64 = 200_000;

/// The number of right answers, and of all answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Right answers.
    pub right: usize,
    /// All answers.
    pub all: usize,
}

/// The answer to one labeled prompt.
#[derive(Debug, Clone)]
pub struct Judgment {
    /// The prompt and its label.
    pub labeled: Labeled,
    /// The right type; `None` if the prompt asks for no picture.
    pub wanted: Option<PromptType>,
    /// The type that the classifier found.
    pub found: PromptType,
    /// The confidence of the classifier.
    pub confidence: f64,
    /// The probability that the right type was given.
    pub of_wanted: f64,
    /// Whether the facts allow more than one type.
    pub open: bool,
    /// Whether the answer says that the prompt asks for no picture.
    pub unclear: bool,
    /// Whether the answer asks to confirm the price.
    pub confirm: bool,
    /// The price of the found type above the price of the right one, in micro-dollars.
    pub overspent_micros: u64,
}

/// The answers to a whole set.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// One answer per prompt, in order.
    pub judgments: Vec<Judgment>,
}

/// Classifies every prompt of a set.
pub fn evaluate(classifier: &Classifier, labeled: &[Labeled]) -> Evaluation {
    Evaluation { judgments: labeled.iter().map(|labeled| judge(classifier, labeled)).collect() }
}

fn judge(classifier: &Classifier, labeled: &Labeled) -> Judgment {
    let facts = labeled.facts;
    let request = request(labeled);
    let verdict =
        classifier.classify_by_facts(&request).unwrap_or_else(|| classifier.classify_locally(&request));
    let wanted = match labeled.label {
        Label::Type(prompt_type) => Some(prompt_type),
        Label::Goal(goal) => Some(classifier.matrix().decide(goal, facts).prompt_type),
        Label::Unclear => None,
    };
    let price = |prompt_type| classifier.price(prompt_type);
    let of_wanted = match wanted {
        Some(wanted) if wanted == verdict.prompt_type => verdict.confidence,
        Some(wanted) => verdict
            .alternatives
            .iter()
            .find(|other| other.prompt_type == wanted)
            .map_or(0.0, |other| other.probability),
        None => 0.0,
    };
    Judgment {
        labeled: labeled.clone(),
        wanted,
        found: verdict.prompt_type,
        confidence: verdict.confidence,
        of_wanted,
        open: classifier.feasible(facts).single().is_none(),
        unclear: verdict.unclear,
        confirm: classifier.confirmation(&verdict).is_some(),
        overspent_micros: wanted.map_or(0, |wanted| price(verdict.prompt_type).saturating_sub(price(wanted))),
    }
}

fn request(labeled: &Labeled) -> Request {
    Request { prompt: labeled.prompt.clone(), facts: labeled.facts, media: Media::default() }
}

impl Accuracy {
    /// Returns the share of right answers, or one without answers.
    pub fn share(self) -> f64 {
        if self.all == 0 { 1.0 } else { self.right as f64 / self.all as f64 }
    }

    /// Returns the 95 % confidence interval of the share (Wilson 1927).
    pub fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.96;
        let all = self.all.max(1) as f64;
        let (share, squared) = (self.share(), Z * Z / all);
        let center = (share + squared / 2.0) / (1.0 + squared);
        let margin = Z * ((share * (1.0 - share) + squared / 4.0) / all).sqrt() / (1.0 + squared);
        ((center - margin).max(0.0), (center + margin).min(1.0))
    }

    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }
}

impl Judgment {
    /// Returns the request that was judged.
    pub fn request(&self) -> Request {
        request(&self.labeled)
    }

    /// Returns whether the found type is the right one. An answer to a prompt that asks for no
    /// picture is right if it says so.
    pub fn right(&self) -> bool {
        self.wanted.map_or(self.unclear, |wanted| wanted == self.found)
    }

    /// Returns whether the answer would spend much more than the right one, without asking.
    pub fn is_expensive_error(&self) -> bool {
        self.overspent_micros >= EXPENSIVE_MICROS && !self.confirm
    }
}

impl Evaluation {
    /// Returns the accuracy of the answers that a condition selects.
    pub fn accuracy(&self, of: impl Fn(&Judgment) -> bool) -> Accuracy {
        let mut accuracy = Accuracy::default();
        for judgment in self.judgments.iter().filter(|judgment| of(judgment)) {
            accuracy.add(judgment.right());
        }
        accuracy
    }

    /// Returns the answers to prompts that ask for a picture, a video or an edit.
    fn requests(&self) -> impl Iterator<Item = &Judgment> {
        self.judgments.iter().filter(|judgment| judgment.wanted.is_some())
    }

    /// Returns one accuracy per group of a key, over the prompts that ask for something.
    pub fn by<K: Ord>(&self, key: impl Fn(&Judgment) -> K) -> BTreeMap<K, Accuracy> {
        let mut accuracies: BTreeMap<K, Accuracy> = BTreeMap::new();
        for judgment in self.requests() {
            accuracies.entry(key(judgment)).or_default().add(judgment.right());
        }
        accuracies
    }

    /// Returns how often each right type was answered with each found type.
    pub fn confusion(&self) -> BTreeMap<(PromptType, PromptType), usize> {
        let mut counts = BTreeMap::new();
        for judgment in &self.judgments {
            if let Some(wanted) = judgment.wanted {
                *counts.entry((wanted, judgment.found)).or_default() += 1;
            }
        }
        counts
    }

    /// Returns the mean negative logarithm of the probability of the right type, in nats (the log
    /// loss).
    pub fn log_loss(&self) -> f64 {
        let losses: Vec<f64> = self.requests().map(|judgment| -judgment.of_wanted.max(1e-6).ln()).collect();
        losses.iter().sum::<f64>() / losses.len().max(1) as f64
    }

    /// Returns the expected calibration error over ten bins of equal width (Naeini, Cooper,
    /// Hauskrecht 2015): the average distance between confidence and the share of right answers.
    pub fn calibration_error(&self) -> f64 {
        let mut bins = [(0.0, Accuracy::default()); 10];
        let mut all = 0_usize;
        for judgment in self.requests() {
            all += 1;
            let bin = ((judgment.confidence * 10.0) as usize).min(9);
            if let Some((confidence, accuracy)) = bins.get_mut(bin) {
                *confidence += judgment.confidence;
                accuracy.add(judgment.right());
            }
        }
        let error: f64 =
            bins.iter().map(|(confidence, accuracy)| (confidence - accuracy.right as f64).abs()).sum();
        error / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Matrix;
    use crate::evaluation::read_labeled;

    /// Evaluates the embedded model on a set of the corpus.
    fn embedded_on(set: &str) -> Evaluation {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(set);
        let labeled = read_labeled(&path).unwrap();
        evaluate(&Classifier::new(Matrix::embedded()), &labeled)
    }

    #[test]
    fn the_embedded_model_reaches_the_required_accuracy() {
        for set in ["judge-dev.csv", "judge-test.csv"] {
            let evaluation = embedded_on(set);
            let share = |accuracy: Accuracy| accuracy.share();
            assert!(share(evaluation.accuracy(|_| true)) >= 0.96, "{set}");
            assert!(share(evaluation.accuracy(|judgment| judgment.open)) >= 0.93, "{set}");
            let is_hard = |judgment: &Judgment| {
                matches!(&*judgment.labeled.tag, "hard" | "implicit" | "negation" | "multi")
            };
            assert!(share(evaluation.accuracy(is_hard)) >= 0.9, "{set}");
            for (language, accuracy) in evaluation.by(|judgment| judgment.labeled.language.clone()) {
                assert!(share(accuracy) >= 0.9, "{set}, {language}: {accuracy:?}");
            }
            // The model is calibrated on prompts from elsewhere, which are harder than these.
            let judgments = &evaluation.judgments;
            let confidence: f64 = judgments.iter().map(|judgment| judgment.confidence).sum();
            assert!(confidence / judgments.len() as f64 <= share(evaluation.accuracy(|_| true)), "{set}");
        }
    }

    #[test]
    fn the_calibration_error_is_the_distance_to_the_share_of_right_answers() {
        let mut evaluation = embedded_on("judge-dev.csv");
        for judgment in &mut evaluation.judgments {
            judgment.confidence = 0.75;
            judgment.wanted = Some(judgment.found);
        }
        assert!((evaluation.calibration_error() - 0.25).abs() < 1e-6);
    }

    #[test]
    fn the_interval_contains_the_share_and_shrinks_with_the_number() {
        let few = Accuracy { right: 9, all: 10 }.interval();
        let many = Accuracy { right: 900, all: 1000 }.interval();
        assert!(few.0 < 0.9 && 0.9 < few.1 && few.1 - few.0 > many.1 - many.0);
        assert!((many.0 - 0.8799).abs() < 1e-3 && (many.1 - 0.9171).abs() < 1e-3);
    }
}
