//! The classifier: text in, probabilities of goals out.
//!
//! Scores are integer sums of small weights, so they depend neither on the order of summation nor
//! on the vector width of the machine. Only the last step, eight exponentials, uses floating point.
//! The only possible failure is a damaged model file, and a test keeps it out of the binary.

use std::fmt;
use std::sync::LazyLock;

use crate::Facts;
use crate::local::feature::{Group, extract, length, scale};
use crate::local::goals::Goals;
use crate::local::model::{Model, ModelError};
use crate::local::sense::{Regime, Sense};
use crate::local::token::Text;

const EMBEDDED: &[u8] = include_bytes!("../../data/local-1.bin");

/// Finds what a prompt asks for, offline and deterministically.
///
/// A call takes microseconds and two or three small allocations. The model is shared and immutable.
///
/// ```
/// use picarcade_intent::local::LocalClassifier;
/// use picarcade_intent::{Facts, Goal};
///
/// let image_open = Facts { active_image: true, ..Facts::default() };
/// let goals = LocalClassifier::embedded().goals("remove the moving truck", image_open);
/// assert_eq!(goals.best().0, Goal::Edit);
/// ```
pub struct LocalClassifier {
    model: Model<'static>,
}

impl LocalClassifier {
    /// Returns the classifier with the embedded model. The first call checks the model, which takes
    /// about a millisecond.
    pub fn embedded() -> &'static Self {
        // A damaged binary must still answer. Without a readable model, all senses are equally
        // likely, and the default goal wins.
        static CLASSIFIER: LazyLock<LocalClassifier> = LazyLock::new(|| {
            LocalClassifier::parse(EMBEDDED).unwrap_or_else(|error| {
                tracing::error!(%error, "the embedded model cannot be read");
                LocalClassifier { model: Model::EMPTY }
            })
        });
        &CLASSIFIER
    }

    /// Returns the version of the embedded model: the first 16 hexadecimal digits of the hash in
    /// its file.
    pub fn embedded_version() -> String {
        crate::version::of_hash_at_end(EMBEDDED)
    }

    /// Creates a classifier with another model, as `train` writes it.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a model, belong to another version, or are damaged.
    pub fn parse(file: &'static [u8]) -> Result<Self, ModelError> {
        Ok(Self { model: Model::parse(file)? })
    }

    /// Returns the probability of each goal for these words under these facts.
    pub fn goals(&self, prompt: &str, facts: Facts) -> Goals {
        let regime = Regime::of(facts);
        Goals::from_senses(self.senses(prompt, regime), regime)
    }

    /// Returns the probability of each sense.
    pub(crate) fn senses(&self, prompt: &str, regime: Regime) -> [f32; Sense::COUNT] {
        let likely = softmax(self.scores(prompt, regime), self.model.sharpness(regime));
        Sense::weigh(likely, regime)
    }

    /// Returns the score of each sense before calibration.
    pub(crate) fn scores(&self, prompt: &str, regime: Regime) -> [f32; Sense::COUNT] {
        let text = Text::read(prompt);
        let mut words = [0_i32; Sense::COUNT];
        let mut places = [0_i32; Sense::COUNT];
        extract(&text, regime, |group, hash, value| {
            let Some(row) = self.model.row(hash) else { return };
            let sums = if group == Group::Words { &mut words } else { &mut places };
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += i32::from(weight) * value;
            }
        });
        let shrink = scale(length(&text));
        let mut scores = [self.model.scale(); Sense::COUNT];
        for ((score, words), places) in scores.iter_mut().zip(words).zip(places) {
            *score *= words as f32 * shrink + places as f32;
        }
        scores
    }
}

/// Converts scores to probabilities. A greater sharpness gives more extreme probabilities.
pub(crate) fn softmax<const CLASSES: usize>(scores: [f32; CLASSES], sharpness: f32) -> [f32; CLASSES] {
    let highest = scores.iter().copied().fold(f32::MIN, f32::max);
    let raised = scores.map(|score| ((score - highest) * sharpness).exp());
    let sum: f32 = raised.iter().sum();
    raised.map(|value| value / sum)
}

impl fmt::Debug for LocalClassifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalClassifier").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_embedded_model_is_valid() {
        assert!(LocalClassifier::parse(EMBEDDED).is_ok());
        assert!(EMBEDDED.len() <= 2_000_000);
    }

    #[test]
    fn a_damaged_model_is_rejected() {
        let mut file = EMBEDDED.to_vec();
        if let Some(byte) = file.get_mut(1_000) {
            *byte ^= 1;
        }
        assert_eq!(LocalClassifier::parse(file.leak()).unwrap_err(), ModelError::Damaged);
        assert_eq!(LocalClassifier::parse(b"").unwrap_err(), ModelError::NotAModel);
        assert_eq!(
            LocalClassifier::parse(b"PCLOCAL\0\x63\0\0\0").unwrap_err(),
            ModelError::Version { found: 99 }
        );
        let truncated = EMBEDDED.get(..5_000).unwrap_or_default();
        assert_eq!(LocalClassifier::parse(truncated).unwrap_err(), ModelError::Damaged);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_gets_probabilities_and_always_the_same(text in any::<String>(), bits in 0_u8..16, repeat in 1_usize..200) {
            let text = text.repeat(repeat);
            let facts = Facts::from_bits(bits);
            let goals = LocalClassifier::embedded().goals(&text, facts);
            let sum: f32 = crate::Goal::ALL.into_iter().map(|goal| goals.get(goal)).sum();
            prop_assert!((sum - 1.0).abs() < 1e-4);
            prop_assert!(crate::Goal::ALL.into_iter().all(|goal| (0.0..=1.0).contains(&goals.get(goal))));
            prop_assert_eq!(goals, LocalClassifier::embedded().goals(&text, facts));
        }
    }
}
