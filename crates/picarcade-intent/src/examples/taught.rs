//! Examples with their embeddings, and the one that decides about a request.

use std::fmt;
use std::num::NonZeroUsize;

use crate::evaluation::Labeled;
use crate::examples::list::ExampleList;
use crate::examples::outcome::{Outcome, goals, outcome};
use crate::facts::Facts;
use crate::local::{Embedding, Encoder, Goals, Regime, Similarity, Taught};
use crate::matrix::Matrix;
use crate::words::words;

/// The least similarity of the words of an example that decides. `docs/evaluation.md` has the
/// measurement.
const WORDS: f32 = 0.5;

/// The least similarity of the sense of an example that decides.
const SENSE: f32 = 0.75;

/// How much farther than the nearest example one with another label must be, as a ratio of their
/// distances (Lowe, 2004, "Distinctive Image Features from Scale-Invariant Keypoints"). Words that
/// equal those of an example have no distance, so that example decides alone.
const RATIO: f32 = 1.3;

/// The greatest number of conflicts that are found.
const MAX_CONFLICTS: usize = 100;

/// The examples of an operator, ready to decide.
pub struct Examples {
    taught: Vec<(Labeled, Embedding)>,
    version: String,
}

/// Two examples with nearly the same words and different labels. Near both of them, neither
/// decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conflict {
    /// The line of the first example.
    pub first: u64,
    /// The line of the second example.
    pub second: u64,
    /// Their similarity, at most 1.
    pub similarity: f32,
}

impl Examples {
    /// Computes the embeddings of a list, which takes milliseconds of one core for each example.
    ///
    /// Returns `None` as soon as `is_wanted` is false.
    pub fn new(
        list: &ExampleList,
        encoder: &Encoder,
        threads: NonZeroUsize,
        is_wanted: impl Fn() -> bool + Sync,
    ) -> Option<Self> {
        let examples = list.examples();
        let teach = |example: &Labeled| {
            is_wanted().then(|| (example.clone(), encoder.embedding(&words(&example.prompt), example.facts)))
        };
        let share = examples.len().div_ceil(threads.get()).max(1);
        let taught = std::thread::scope(|scope| {
            let threads: Vec<_> = examples
                .chunks(share)
                .map(|part| scope.spawn(move || part.iter().map(teach).collect::<Option<Vec<_>>>()))
                .collect();
            // A thread that panics has no result, so there are no examples.
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect::<Option<Vec<_>>>()
        })?;
        Some(Self { taught: taught.concat(), version: list.version().to_owned() })
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        self.taught.len()
    }

    /// Returns whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.taught.is_empty()
    }

    /// Returns the version of the [list](ExampleList::version).
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns pairs of examples that are similar enough to decide about each other and have
    /// different labels: the first hundred.
    pub fn conflicts(&self, matrix: &Matrix) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (place, (first, embedding)) in self.taught.iter().enumerate() {
            let facts = first.facts;
            let wanted = outcome(first, facts, matrix);
            for (second, other) in self.taught.iter().skip(place + 1) {
                if Regime::of(second.facts) != Regime::of(facts) {
                    continue;
                }
                let similarity = embedding.similarity(other);
                if !is_near(similarity) {
                    continue;
                }
                let meant = outcome(second, facts, matrix);
                if meant != Outcome::Open && meant != wanted {
                    let similarity = similarity.mean();
                    conflicts.push(Conflict { first: first.line, second: second.line, similarity });
                    if conflicts.len() == MAX_CONFLICTS {
                        return conflicts;
                    }
                }
            }
        }
        conflicts
    }

    /// Returns the goals of a request as the nearest example teaches them. They are unchanged if no
    /// example is near enough, or if near examples disagree.
    pub(crate) fn teach(&self, found: Goals, embedding: &Embedding, facts: Facts, matrix: &Matrix) -> Goals {
        let Some((example, similarity)) = self.nearest(embedding, facts, matrix) else { return found };
        let taught = Taught { line: example.line, similarity };
        found.taught(taught, goals(example, matrix))
    }

    /// Returns the example that decides, with its similarity.
    fn nearest(&self, embedding: &Embedding, facts: Facts, matrix: &Matrix) -> Option<(&Labeled, f32)> {
        let regime = Regime::of(facts);
        let near: Vec<_> = self
            .taught
            .iter()
            .filter(|(example, _)| Regime::of(example.facts) == regime)
            .map(|(example, other)| (example, embedding.similarity(other)))
            .filter(|(_, similarity)| is_near(*similarity))
            .map(|(example, similarity)| (example, similarity.mean(), outcome(example, facts, matrix)))
            .filter(|(.., outcome)| *outcome != Outcome::Open)
            .collect();
        // Of equally similar examples the first decides.
        let nearest = near.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let (example, similarity, outcome) = *nearest;
        let reach = RATIO * (1.0 - similarity).max(0.0);
        let is_rival = |other: &(&Labeled, f32, Outcome)| 1.0 - other.1 <= reach && other.2 != outcome;
        if near.iter().any(is_rival) { None } else { Some((example, similarity)) }
    }
}

fn is_near(similarity: Similarity) -> bool {
    similarity.words >= WORDS && similarity.sense >= SENSE
}

impl fmt::Debug for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Examples");
        shown.field("number", &self.len()).field("version", &self.version).finish_non_exhaustive()
    }
}
