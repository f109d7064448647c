//! The accuracy and calibration of the classifier.
//!
//! The prompt type counts, because it is what a user gets. The probability of a type is the sum
//! over the goals that decide to it under the facts of the request, by the default decision matrix.
//! Instructions to the classifier are removed from the words first, as in the classification of a
//! request.
//! the words first, as they are when a request is classified.

use std::collections::BTreeMap;

use crate::local::LocalClassifier;
use crate::local::train::judged::Judged;
use crate::{Goal, Matrix, PromptType, injection};

/// The number of right answers, and of all answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Right answers.
    pub right: usize,
    /// All answers.
    pub all: usize,
}

/// The answer to one judged prompt.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The prompt.
    pub judged: Judged,
    /// The type that its goal decides to.
    pub wanted: PromptType,
    /// The type that the classifier found.
    pub found: PromptType,
    /// The probability of the found type.
    pub confidence: f32,
    /// The probability that the right type was given.
    pub of_wanted: f32,
    /// Whether the facts allow more than one type.
    pub open: bool,
}

/// The answers to a whole set.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// One answer per prompt, in order.
    pub verdicts: Vec<Verdict>,
}

/// Classifies every prompt of a set.
pub fn evaluate(classifier: &LocalClassifier, judged: &[Judged]) -> Evaluation {
    let matrix = Matrix::embedded();
    let verdicts = judged.iter().map(|judged| {
        let goals = classifier.goals(&injection::without_injections(&judged.prompt), judged.facts);
        let decide = |goal| matrix.decide(goal, judged.facts).prompt_type;
        let mut types: Vec<(PromptType, f32)> = Vec::new();
        for goal in Goal::ALL {
            let decided = decide(goal);
            match types.iter_mut().find(|(known, _)| *known == decided) {
                Some((_, probability)) => *probability += goals.get(goal),
                None => types.push((decided, goals.get(goal))),
            }
        }
        let open = types.len() > 1;
        let wanted = decide(judged.goal);
        let of_wanted = types.iter().find(|(known, _)| *known == wanted).map_or(0.0, |(_, of)| *of);
        let best = types.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let (found, confidence) = best.unwrap_or((PromptType::NewImage, 0.0));
        Verdict { judged: judged.clone(), wanted, found, confidence, of_wanted, open }
    });
    Evaluation { verdicts: verdicts.collect() }
}

impl Tally {
    /// Returns the share of right answers, or one without answers.
    pub fn share(self) -> f64 {
        if self.all == 0 { 1.0 } else { self.right as f64 / self.all as f64 }
    }

    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }
}

impl Verdict {
    /// Returns whether the found type is the right one.
    pub fn right(&self) -> bool {
        self.wanted == self.found
    }
}

impl Evaluation {
    /// Returns the tally of the answers that a condition selects.
    pub fn tally(&self, of: impl Fn(&Verdict) -> bool) -> Tally {
        let mut tally = Tally::default();
        for verdict in self.verdicts.iter().filter(|verdict| of(verdict)) {
            tally.add(verdict.right());
        }
        tally
    }

    /// Returns one tally per group of a key.
    pub fn by<K: Ord>(&self, key: impl Fn(&Verdict) -> K) -> BTreeMap<K, Tally> {
        let mut tallies: BTreeMap<K, Tally> = BTreeMap::new();
        for verdict in &self.verdicts {
            tallies.entry(key(verdict)).or_default().add(verdict.right());
        }
        tallies
    }

    /// Returns how often each right type was answered with each found type.
    pub fn confusion(&self) -> BTreeMap<(PromptType, PromptType), usize> {
        let mut counts = BTreeMap::new();
        for verdict in &self.verdicts {
            *counts.entry((verdict.wanted, verdict.found)).or_default() += 1;
        }
        counts
    }

    /// Returns the mean negative logarithm of the probability of the right type, in nats (the log
    /// loss).
    pub fn log_loss(&self) -> f64 {
        let losses = self.verdicts.iter().map(|verdict| -f64::from(verdict.of_wanted.max(1e-6)).ln());
        losses.sum::<f64>() / self.verdicts.len().max(1) as f64
    }

    /// Returns the expected calibration error over ten bins of equal width (Naeini, Cooper,
    /// Hauskrecht 2015): the average distance between confidence and the share of right answers.
    pub fn calibration_error(&self) -> f64 {
        let mut bins = [(0.0, Tally::default()); 10];
        for verdict in &self.verdicts {
            let bin = ((verdict.confidence * 10.0) as usize).min(9);
            if let Some((confidence, tally)) = bins.get_mut(bin) {
                *confidence += f64::from(verdict.confidence);
                tally.add(verdict.right());
            }
        }
        let error: f64 = bins.iter().map(|(confidence, tally)| (confidence - tally.right as f64).abs()).sum();
        error / self.verdicts.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::local::train::read_judged;

    /// Evaluates the embedded model on a set of the corpus.
    fn embedded_on(set: &str) -> Evaluation {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(set);
        evaluate(LocalClassifier::embedded(), &read_judged(&path).unwrap())
    }

    #[test]
    fn the_embedded_model_reaches_what_is_asked_of_it() {
        for set in ["judge-dev.csv", "judge-test.csv"] {
            let evaluation = embedded_on(set);
            let share = |tally: Tally| tally.share();
            assert!(share(evaluation.tally(|_| true)) >= 0.96, "{set}");
            assert!(share(evaluation.tally(|verdict| verdict.open)) >= 0.93, "{set}");
            let is_hard = |verdict: &Verdict| {
                matches!(&*verdict.judged.tag, "hard" | "implicit" | "negation" | "multi")
            };
            assert!(share(evaluation.tally(is_hard)) >= 0.9, "{set}");
            for (language, tally) in evaluation.by(|verdict| verdict.judged.language.clone()) {
                assert!(share(tally) >= 0.9, "{set}, {language}: {tally:?}");
            }
            assert!(evaluation.calibration_error() <= 0.05, "{set}");
        }
    }

    #[test]
    fn an_error_of_calibration_is_the_distance_from_what_was_right() {
        let mut evaluation = embedded_on("judge-dev.csv");
        for verdict in &mut evaluation.verdicts {
            verdict.confidence = 0.75;
            verdict.found = verdict.wanted;
        }
        assert!((evaluation.calibration_error() - 0.25).abs() < 1e-6);
    }
}
