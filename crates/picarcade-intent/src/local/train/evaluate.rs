//! The accuracy and calibration of the classifier without an AI.
//!
//! Every prompt is classified by a [`Classifier`], exactly as a request without an AI: by its facts
//! if they leave only one type, or else by its words. The prompt type counts, because it is what a
//! user gets.

use std::collections::BTreeMap;

use crate::local::train::judged::Judged;
use crate::{Classifier, Media, PromptType, Request};

/// The number of right answers, and of all answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Right answers.
    pub right: usize,
    /// All answers.
    pub all: usize,
}

/// The answer to one judged prompt.
#[derive(Debug, Clone)]
pub struct Judgment {
    /// The prompt.
    pub judged: Judged,
    /// The type that its goal decides to.
    pub wanted: PromptType,
    /// The type that the classifier found.
    pub found: PromptType,
    /// The confidence of the classifier.
    pub confidence: f64,
    /// The probability that the right type was given.
    pub of_wanted: f64,
    /// Whether the facts allow more than one type.
    pub open: bool,
}

/// The answers to a whole set.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// One answer per prompt, in order.
    pub judgments: Vec<Judgment>,
}

/// Classifies every prompt of a set.
pub fn evaluate(classifier: &Classifier, judged: &[Judged]) -> Evaluation {
    Evaluation { judgments: judged.iter().map(|judged| judge(classifier, judged)).collect() }
}

fn judge(classifier: &Classifier, judged: &Judged) -> Judgment {
    let facts = judged.facts;
    let request = Request { prompt: judged.prompt.clone(), facts, media: Media::default() };
    let verdict =
        classifier.classify_by_facts(&request).unwrap_or_else(|| classifier.classify_locally(&request));
    let wanted = classifier.matrix().decide(judged.goal, facts).prompt_type;
    Judgment {
        judged: judged.clone(),
        wanted,
        found: verdict.prompt_type,
        confidence: verdict.confidence,
        of_wanted: classifier.probability(&request, wanted),
        open: classifier.feasible(facts).single().is_none(),
    }
}

impl Accuracy {
    /// Returns the share of right answers, or one without answers.
    pub fn share(self) -> f64 {
        if self.all == 0 { 1.0 } else { self.right as f64 / self.all as f64 }
    }

    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }
}

impl Judgment {
    /// Returns whether the found type is the right one.
    pub fn right(&self) -> bool {
        self.wanted == self.found
    }
}

impl Evaluation {
    /// Returns the accuracy of the answers that a condition selects.
    pub fn accuracy(&self, of: impl Fn(&Judgment) -> bool) -> Accuracy {
        let mut accuracy = Accuracy::default();
        for verdict in self.judgments.iter().filter(|verdict| of(verdict)) {
            accuracy.add(verdict.right());
        }
        accuracy
    }

    /// Returns one accuracy per group of a key.
    pub fn by<K: Ord>(&self, key: impl Fn(&Judgment) -> K) -> BTreeMap<K, Accuracy> {
        let mut accuracies: BTreeMap<K, Accuracy> = BTreeMap::new();
        for verdict in &self.judgments {
            accuracies.entry(key(verdict)).or_default().add(verdict.right());
        }
        accuracies
    }

    /// Returns how often each right type was answered with each found type.
    pub fn confusion(&self) -> BTreeMap<(PromptType, PromptType), usize> {
        let mut counts = BTreeMap::new();
        for verdict in &self.judgments {
            *counts.entry((verdict.wanted, verdict.found)).or_default() += 1;
        }
        counts
    }

    /// Returns the mean negative logarithm of the probability of the right type, in nats (the log
    /// loss).
    pub fn log_loss(&self) -> f64 {
        let losses = self.judgments.iter().map(|verdict| -verdict.of_wanted.max(1e-6).ln());
        losses.sum::<f64>() / self.judgments.len().max(1) as f64
    }

    /// Returns the expected calibration error over ten bins of equal width (Naeini, Cooper,
    /// Hauskrecht 2015): the average distance between confidence and the share of right answers.
    pub fn calibration_error(&self) -> f64 {
        let mut bins = [(0.0, Accuracy::default()); 10];
        for verdict in &self.judgments {
            let bin = ((verdict.confidence * 10.0) as usize).min(9);
            if let Some((confidence, accuracy)) = bins.get_mut(bin) {
                *confidence += verdict.confidence;
                accuracy.add(verdict.right());
            }
        }
        let error: f64 =
            bins.iter().map(|(confidence, accuracy)| (confidence - accuracy.right as f64).abs()).sum();
        error / self.judgments.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Matrix;
    use crate::local::train::read_judged;

    /// Evaluates the embedded model on a set of the corpus.
    fn embedded_on(set: &str) -> Evaluation {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(set);
        evaluate(&Classifier::new(Matrix::embedded()), &read_judged(&path).unwrap())
    }

    #[test]
    fn the_embedded_model_reaches_the_required_accuracy() {
        for set in ["judge-dev.csv", "judge-test.csv"] {
            let evaluation = embedded_on(set);
            let share = |accuracy: Accuracy| accuracy.share();
            assert!(share(evaluation.accuracy(|_| true)) >= 0.96, "{set}");
            assert!(share(evaluation.accuracy(|verdict| verdict.open)) >= 0.93, "{set}");
            let is_hard = |verdict: &Judgment| {
                matches!(&*verdict.judged.tag, "hard" | "implicit" | "negation" | "multi")
            };
            assert!(share(evaluation.accuracy(is_hard)) >= 0.9, "{set}");
            for (language, accuracy) in evaluation.by(|verdict| verdict.judged.language.clone()) {
                assert!(share(accuracy) >= 0.9, "{set}, {language}: {accuracy:?}");
            }
            assert!(evaluation.calibration_error() <= 0.05, "{set}");
        }
    }

    #[test]
    fn the_calibration_error_is_the_distance_to_the_share_of_right_answers() {
        let mut evaluation = embedded_on("judge-dev.csv");
        for verdict in &mut evaluation.judgments {
            verdict.confidence = 0.75;
            verdict.found = verdict.wanted;
        }
        assert!((evaluation.calibration_error() - 0.25).abs() < 1e-6);
    }
}
