//! Probabilities of the five goals.

use crate::Goal;
use crate::local::sense::{Regime, Sense};

/// The probabilities of the goals, which sum to one.
///
/// They are calibrated: of the prompts whose best goal has probability 0.8, about eight in ten have
/// that goal.
///
/// ```
/// use picarcade_intent::local::LocalClassifier;
/// use picarcade_intent::{Facts, Goal};
///
/// let prompt = "a video of a cat chasing a butterfly";
/// let goals = LocalClassifier::embedded().goals(prompt, Facts::default());
/// assert_eq!(goals.best().0, Goal::CreateVideo);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goals {
    probabilities: [f32; Goal::COUNT],
    none: f32,
    taught: Option<Taught>,
}

/// The example of an operator that decided about a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taught {
    /// The line of the example in its file.
    pub line: u64,
    /// The similarity of the prompt and the example, at most 1.
    pub similarity: f32,
}

/// The least probability of what an example teaches.
#[cfg(feature = "encoder")]
const CONFIDENCE: f32 = 0.95;

impl Goals {
    /// Converts probabilities of senses to probabilities of goals.
    pub(crate) fn from_senses(senses: [f32; Sense::COUNT], regime: Regime) -> Self {
        let mut probabilities = [0.0; Goal::COUNT];
        for (sense, probability) in Sense::ALL.into_iter().zip(senses) {
            for (goal, share) in sense.goals(regime) {
                if let Some(slot) = probabilities.get_mut(goal as usize) {
                    *slot += probability * share;
                }
            }
        }
        let sum: f32 = probabilities.iter().sum();
        for probability in &mut probabilities {
            *probability /= sum;
        }
        Self { probabilities, none: 0.0, taught: None }
    }

    /// Returns the probability of one goal, in `0.0..=1.0`.
    pub fn get(&self, goal: Goal) -> f32 {
        self.probabilities.get(goal as usize).copied().unwrap_or_default()
    }

    /// Returns these goals with a probability that the words ask for no picture at all.
    #[cfg(feature = "encoder")]
    #[must_use]
    pub(crate) const fn with_none(self, none: f32) -> Self {
        Self { none, ..self }
    }

    /// Returns these goals as an example teaches them: one of the wanted goals, or no request if
    /// there are none, has at least the confidence of an example.
    #[cfg(feature = "encoder")]
    #[must_use]
    pub(crate) fn taught(mut self, taught: Taught, wanted: impl Iterator<Item = Goal>) -> Self {
        /// Keeps the shares among wanted goals defined if the classifier excludes them all.
        const LEAST: f32 = 1e-6;
        self.taught = Some(taught);
        let mut is_wanted = [false; Goal::COUNT];
        for goal in wanted {
            if let Some(slot) = is_wanted.get_mut(goal as usize) {
                *slot = true;
            }
        }
        if !is_wanted.contains(&true) {
            self.none = self.none.max(CONFIDENCE);
            return self;
        }
        self.none = 0.0;
        for probability in &mut self.probabilities {
            *probability += LEAST;
        }
        let of = |wanted: bool| {
            let both = self.probabilities.iter().zip(is_wanted);
            both.filter(|(_, is_wanted)| *is_wanted == wanted)
                .map(|(probability, _)| probability)
                .sum::<f32>()
        };
        let (inside, outside) = (of(true), of(false));
        let share = (inside / (inside + outside)).max(CONFIDENCE);
        for (probability, is_wanted) in self.probabilities.iter_mut().zip(is_wanted) {
            *probability *= if is_wanted { share / inside } else { (1.0 - share) / outside };
        }
        self
    }

    /// Returns the example of an operator that decided, if one did.
    pub const fn example(&self) -> Option<Taught> {
        self.taught
    }

    /// Returns the probability that the words ask for no picture, video or edit at all, in
    /// `0.0..=1.0`. The probabilities of the goals hold if they do ask for one. The linear model
    /// cannot recognize such words and returns 0; the encoder can.
    pub const fn none(&self) -> f32 {
        self.none
    }

    /// Returns the most likely goal and its probability. Of equal goals, the first in [`Goal::ALL`]
    /// wins.
    pub fn best(&self) -> (Goal, f32) {
        let mut best = (Goal::CreateImage, self.get(Goal::CreateImage));
        for goal in Goal::ALL {
            if self.get(goal) > best.1 {
                best = (goal, self.get(goal));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_on_an_open_video_is_an_edit_and_elsewhere_a_video_with_sound() {
        let mut senses = [0.0; Sense::COUNT];
        senses[Sense::Sound as usize] = 1.0;
        assert_eq!(Goals::from_senses(senses, Regime::Video).best().0, Goal::Edit);
        assert_eq!(Goals::from_senses(senses, Regime::Image).best().0, Goal::CreateVideoWithAudio);
        assert_eq!(Goals::from_senses(senses, Regime::Nothing).best().0, Goal::CreateVideoWithAudio);
    }
}
