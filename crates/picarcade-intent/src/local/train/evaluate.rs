//! How often the classifier is right, and how well it knows it.
//!
//! What counts is the prompt type, since that is what a user gets: the probability of a type is the sum over the goals
//! that decide to it under the request's facts.

use std::collections::BTreeMap;

use crate::local::LocalClassifier;
use crate::local::train::judged::Judged;
use crate::{Facts, Goal};

/// How many answers were right, of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Right answers.
    pub right: usize,
    /// All answers.
    pub all: usize,
}

/// One judged prompt's answer.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The prompt.
    pub judged: Judged,
    /// The type that its goal decides to.
    pub wanted: &'static str,
    /// The type that was found.
    pub found: &'static str,
    /// Its probability.
    pub confidence: f32,
}

/// The answers to a whole set.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// One for each prompt, in order.
    pub verdicts: Vec<Verdict>,
}

/// Classifies every prompt of a set.
pub fn evaluate(classifier: &LocalClassifier, judged: &[Judged]) -> Evaluation {
    let verdicts = judged.iter().map(|judged| {
        let goals = classifier.goals(&judged.prompt, judged.facts);
        let mut types: BTreeMap<&'static str, f32> = BTreeMap::new();
        for goal in Goal::ALL {
            *types.entry(decide(goal, judged.facts)).or_default() += goals.get(goal);
        }
        let best = types.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let (found, confidence) = best.unwrap_or(("NEW_IMAGE", 0.0));
        Verdict { judged: judged.clone(), wanted: decide(judged.goal, judged.facts), found, confidence }
    });
    Evaluation { verdicts: verdicts.collect() }
}

impl Tally {
    /// The share of right answers, or one of none.
    pub fn share(self) -> f64 {
        if self.all == 0 { 1.0 } else { self.right as f64 / self.all as f64 }
    }

    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }
}

impl Verdict {
    /// Whether the type is the wanted one.
    pub fn right(&self) -> bool {
        self.wanted == self.found
    }

    /// Whether the facts alone leave more than one type.
    pub fn open(&self) -> bool {
        let first = decide(Goal::CreateImage, self.judged.facts);
        Goal::ALL.into_iter().any(|goal| decide(goal, self.judged.facts) != first)
    }
}

impl Evaluation {
    /// The tally of those that a condition picks.
    pub fn tally(&self, of: impl Fn(&Verdict) -> bool) -> Tally {
        let mut tally = Tally::default();
        for verdict in self.verdicts.iter().filter(|verdict| of(verdict)) {
            tally.add(verdict.right());
        }
        tally
    }

    /// The tally of each group that a key makes.
    pub fn by<K: Ord>(&self, key: impl Fn(&Verdict) -> K) -> BTreeMap<K, Tally> {
        let mut tallies: BTreeMap<K, Tally> = BTreeMap::new();
        for verdict in &self.verdicts {
            tallies.entry(key(verdict)).or_default().add(verdict.right());
        }
        tallies
    }

    /// How often each wanted type was answered with each found type.
    pub fn confusion(&self) -> BTreeMap<(&'static str, &'static str), usize> {
        let mut counts = BTreeMap::new();
        for verdict in &self.verdicts {
            *counts.entry((verdict.wanted, verdict.found)).or_default() += 1;
        }
        counts
    }

    /// The expected calibration error over ten bins of equal width (Naeini, Cooper, Hauskrecht 2015): how far, on
    /// average, the confidence is from the share of right answers.
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

/// The type that a goal decides to.
fn decide(goal: Goal, facts: Facts) -> &'static str {
    use Goal::{AddElement, CreateImage, CreateVideo, CreateVideoWithAudio, Edit};
    let (image, video, references) = (facts.active_image, facts.active_video, facts.references());
    match goal {
        Edit | AddElement if video && references => "VIDEO_EDIT_REF",
        Edit | AddElement if video => "VIDEO_EDIT",
        CreateVideo | CreateVideoWithAudio if references => "EDIT_IMAGE_REF_TO_VIDEO",
        CreateVideoWithAudio if image => "IMAGE_TO_VIDEO_WITH_AUDIO",
        CreateVideo if image => "IMAGE_TO_VIDEO",
        CreateVideoWithAudio => "NEW_VIDEO_WITH_AUDIO",
        CreateVideo => "NEW_VIDEO",
        AddElement if image && references => "EDIT_IMAGE_ADD_NEW",
        CreateImage | Edit if image && !video && references => "EDIT_IMAGE_REF",
        Edit | AddElement if image => "EDIT_IMAGE",
        _ if references => "NEW_IMAGE_REF",
        _ => "NEW_IMAGE",
    }
}
