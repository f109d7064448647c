//! Decides what a request is: by rules, by an AI whose mistakes are corrected, or by the local
//! classifier.
//!
//! All functions are pure. The caller asks the AI; this module only judges its answer. The result
//! is feasible whatever the answer was. An instruction hidden in a prompt can at most move the
//! result between feasible types.

use std::sync::Arc;

use crate::answer::Answer;
use crate::enhance::{accept_enhancement_with, enhance_with};
use crate::facts::Facts;
use crate::goal::Goal;
use crate::injection;
#[cfg(feature = "encoder")]
use crate::local::Encoder;
use crate::local::{Goals, LocalClassifier};
use crate::matrix::Matrix;
use crate::prompt_type::PromptType;
use crate::request::Request;
use crate::type_set::TypeSet;
use crate::verdict::{Source, Verdict};

/// Decides what requests are under one decision matrix.
///
/// ```
/// use picarcade_intent::{Classifier, Facts, Matrix, Media, Prompt, PromptType, Request, Source};
///
/// let classifier = Classifier::new(Matrix::embedded());
/// let request = Request {
///     prompt: Prompt::new("remove the moving truck")?,
///     facts: Facts { active_image: true, ..Facts::default() },
///     media: Media::default(),
/// };
/// let verdict = classifier
///     .classify_by_facts(&request)
///     .unwrap_or_else(|| classifier.classify_locally(&request));
/// assert_eq!(verdict.prompt_type, PromptType::EditImage);
/// assert_eq!(verdict.source, Source::Local);
/// # Ok::<(), picarcade_intent::PromptError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Classifier {
    matrix: Arc<Matrix>,
    local: &'static LocalClassifier,
    #[cfg(feature = "encoder")]
    encoder: Option<Arc<Encoder>>,
}

impl Classifier {
    /// Creates a classifier under this matrix with the embedded local classifier.
    pub fn new(matrix: Arc<Matrix>) -> Self {
        Self {
            matrix,
            local: LocalClassifier::embedded(),
            #[cfg(feature = "encoder")]
            encoder: None,
        }
    }

    /// Adds the second stage of the local classifier, for [`classify_locally`] alone.
    ///
    /// A call then takes milliseconds instead of microseconds.
    ///
    /// [`classify_locally`]: Self::classify_locally
    #[cfg(feature = "encoder")]
    #[must_use]
    pub fn with_encoder(self, encoder: Arc<Encoder>) -> Self {
        Self { encoder: Some(encoder), ..self }
    }

    /// Creates a classifier under this matrix with a local classifier of another model.
    #[cfg(feature = "train")]
    pub fn with_local(matrix: Arc<Matrix>, local: &'static LocalClassifier) -> Self {
        Self { local, ..Self::new(matrix) }
    }

    /// Returns the decision matrix.
    pub fn matrix(&self) -> &Arc<Matrix> {
        &self.matrix
    }

    /// Returns every type that a request with these facts can have.
    pub fn feasible(&self, facts: Facts) -> TypeSet {
        self.matrix.feasible(facts)
    }

    /// Decides by the facts alone. Returns a verdict with confidence 1 if only one type is
    /// feasible.
    pub fn classify_by_facts(&self, request: &Request) -> Option<Verdict> {
        let prompt_type = self.feasible(request.facts).single()?;
        let likely = self.likely_fast(request);
        let goal = likely.goal(prompt_type);
        Some(Verdict {
            prompt_type,
            goal,
            source: Source::Rules,
            confidence: 1.0,
            reasoning: format!("{prompt_type} is the only type that these media allow"),
            corrected_from: None,
            enhancement: None,
            audio: goal == Goal::CreateVideoWithAudio,
        })
    }

    /// Decides without an AI. The result is the feasible type with the greatest probability, which
    /// is the sum over the goals that lead to it.
    pub fn classify_locally(&self, request: &Request) -> Verdict {
        self.local_verdict(request, &self.likely(request))
    }

    /// Decides like [`classify_locally`](Self::classify_locally), but by the linear model alone,
    /// in microseconds.
    pub fn classify_fast(&self, request: &Request) -> Verdict {
        self.local_verdict(request, &self.likely_fast(request))
    }

    fn local_verdict(&self, request: &Request, likely: &Likely<'_>) -> Verdict {
        let (prompt_type, confidence) = likely.best();
        let goal = likely.goal(prompt_type);
        let row = self.matrix.decide(goal, request.facts).number;
        Verdict {
            prompt_type,
            goal,
            source: Source::Local,
            confidence,
            reasoning: format!(
                "the words ask for {goal}; with these media that is {prompt_type} (row {row})"
            ),
            corrected_from: None,
            enhancement: None,
            audio: goal == Goal::CreateVideoWithAudio,
        }
    }

    /// Judges the answer of an AI. A feasible type is accepted with the confidence that the AI
    /// states. An infeasible type is corrected to the most likely feasible type, with the
    /// confidence of the local classifier's linear model. The reasoning of the AI is kept. Its enhanced prompt is
    /// discarded, because it was written for another type.
    pub fn correct(&self, request: &Request, answer: Answer) -> Verdict {
        let likely = self.likely_fast(request);
        let is_feasible = self.feasible(request.facts).contains(answer.prompt_type);
        let (prompt_type, confidence) =
            if is_feasible { (answer.prompt_type, answer.confidence.clamp(0.0, 1.0)) } else { likely.best() };
        let goal = likely.goal(prompt_type);
        let enhancement = is_feasible.then(|| {
            let strategy = self.matrix.decide(goal, request.facts).enhancement;
            accept_enhancement_with(strategy, prompt_type, request, &answer.enhanced_prompt)
        });
        let enhancement = enhancement.and_then(|accepted| match accepted {
            Ok(text) => Some(text),
            Err(rejection) => {
                tracing::debug!(%prompt_type, reason = %rejection, "an enhanced prompt was rejected");
                None
            }
        });
        Verdict {
            prompt_type,
            goal,
            source: Source::Llm,
            confidence,
            reasoning: answer.reasoning,
            corrected_from: (!is_feasible).then_some(answer.prompt_type),
            enhancement,
            audio: goal == Goal::CreateVideoWithAudio,
        }
    }

    /// Returns the enhanced prompt for a verdict: the accepted text of the AI, or else the offline
    /// form by the strategy that the matrix names for the deciding row.
    pub fn enhanced(&self, request: &Request, verdict: &Verdict) -> String {
        verdict.enhancement.clone().unwrap_or_else(|| {
            let strategy = self.matrix.decide(verdict.goal, request.facts).enhancement;
            enhance_with(strategy, verdict.prompt_type, request, verdict.audio)
        })
    }

    /// Returns the probability that the local classifier gives to a type.
    #[cfg(feature = "train")]
    pub(crate) fn probability(&self, request: &Request, prompt_type: PromptType) -> f64 {
        self.likely(request).probability(prompt_type)
    }

    /// Returns the view of all stages that this classifier has.
    fn likely(&self, request: &Request) -> Likely<'_> {
        #[cfg(feature = "encoder")]
        if let Some(encoder) = &self.encoder {
            return self.likely_by(request, |text| encoder.goals_with(self.local, text, request.facts));
        }
        self.likely_fast(request)
    }

    /// Returns the view of the linear model.
    fn likely_fast(&self, request: &Request) -> Likely<'_> {
        self.likely_by(request, |text| self.local.goals(text, request.facts))
    }

    fn likely_by(&self, request: &Request, goals: impl FnOnce(&str) -> Goals) -> Likely<'_> {
        let goals = goals(&injection::without_injections(&request.prompt.normalized()));
        Likely { matrix: &self.matrix, facts: request.facts, goals }
    }
}

/// The local classifier's view of one request.
struct Likely<'a> {
    matrix: &'a Matrix,
    facts: Facts,
    goals: Goals,
}

impl Likely<'_> {
    /// Returns the most likely feasible type and its rounded probability. Of equal types the first
    /// wins.
    fn best(&self) -> (PromptType, f64) {
        let mut best = (self.matrix.decide(Goal::CreateImage, self.facts).prompt_type, f64::MIN);
        for prompt_type in self.matrix.feasible(self.facts).iter() {
            let probability = self.probability(prompt_type);
            if probability > best.1 {
                best = (prompt_type, probability);
            }
        }
        (best.0, (best.1.clamp(0.0, 1.0) * 1e4).round() / 1e4)
    }

    /// Returns the most likely of the goals that lead to a type; the first goal if none leads to
    /// it.
    fn goal(&self, prompt_type: PromptType) -> Goal {
        let more_likely =
            |best: Goal, goal| if self.goals.get(goal) > self.goals.get(best) { goal } else { best };
        self.leading_to(prompt_type).reduce(more_likely).unwrap_or(Goal::CreateImage)
    }

    fn probability(&self, prompt_type: PromptType) -> f64 {
        self.leading_to(prompt_type).map(|goal| f64::from(self.goals.get(goal))).sum()
    }

    fn leading_to(&self, prompt_type: PromptType) -> impl Iterator<Item = Goal> {
        Goal::ALL
            .into_iter()
            .filter(move |goal| self.matrix.decide(*goal, self.facts).prompt_type == prompt_type)
    }
}
