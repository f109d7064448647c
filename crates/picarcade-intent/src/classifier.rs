//! Decides what a request is: by rules, by an AI whose mistakes are corrected, or by the local
//! classifier.
//!
//! All functions are pure. The caller asks the AI; this module only judges its answer. The result
//! is feasible whatever the answer was. An instruction hidden in a prompt can at most move the
//! result between feasible types.

use std::sync::Arc;

use crate::answer::Answer;
use crate::catalogue::Catalogue;
use crate::confirm::confirmation;
use crate::enhance::{accept_enhancement_with, enhance_with};
#[cfg(feature = "encoder")]
use crate::examples::Examples;
use crate::facts::Facts;
use crate::goal::Goal;
#[cfg(feature = "encoder")]
use crate::local::Encoder;
use crate::local::{Goals, LocalClassifier, Taught};
use crate::matrix::Matrix;
use crate::prompt_type::PromptType;
use crate::request::Request;
use crate::type_set::TypeSet;
use crate::verdict::{Alternative, Source, Verdict};
use crate::words::words;

/// The probability from which the words are taken for no request.
const UNCLEAR: f64 = 0.25;
/// The smallest probability of an alternative.
const NEGLIGIBLE: f64 = 0.01;

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
    catalogue: Arc<Catalogue>,
    local: &'static LocalClassifier,
    #[cfg(feature = "encoder")]
    encoder: Option<Arc<Encoder>>,
    #[cfg(feature = "encoder")]
    examples: Option<Arc<Examples>>,
}

impl Classifier {
    /// Creates a classifier under this matrix with the embedded local classifier and the prices of
    /// the embedded catalogue.
    pub fn new(matrix: Arc<Matrix>) -> Self {
        Self {
            matrix,
            catalogue: Catalogue::embedded(),
            local: LocalClassifier::embedded(),
            #[cfg(feature = "encoder")]
            encoder: None,
            #[cfg(feature = "encoder")]
            examples: None,
        }
    }

    /// Adds the encoder as the second stage of the local classifier.
    ///
    /// [`read`](Self::read) and [`classify_locally`](Self::classify_locally) then take milliseconds
    /// instead of microseconds.
    #[cfg(feature = "encoder")]
    #[must_use]
    pub fn with_encoder(self, encoder: Arc<Encoder>) -> Self {
        Self { encoder: Some(encoder), ..self }
    }

    /// Uses examples, which need the [encoder](Self::with_encoder).
    ///
    /// A request with nearly the words of an example gets its label. The decisions of an AI are not
    /// changed.
    #[cfg(feature = "encoder")]
    #[must_use]
    pub fn with_examples(self, examples: Option<Arc<Examples>>) -> Self {
        Self { examples, ..self }
    }

    /// Uses the prices of another catalogue.
    #[must_use]
    pub fn with_catalogue(self, catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, ..self }
    }

    /// Uses a local classifier of another model.
    #[cfg(feature = "train")]
    #[must_use]
    pub fn with_local(self, local: &'static LocalClassifier) -> Self {
        Self { local, ..self }
    }

    /// Returns the decision matrix.
    pub fn matrix(&self) -> &Arc<Matrix> {
        &self.matrix
    }

    /// Returns every type that a request with these facts can have.
    pub fn feasible(&self, facts: Facts) -> TypeSet {
        self.matrix.feasible(facts)
    }

    /// Returns the price of one generation of a type in micro-dollars, by the model that the matrix
    /// names for it.
    pub fn price(&self, prompt_type: PromptType) -> u64 {
        let row = self.matrix.rows().iter().find(|row| row.prompt_type == prompt_type);
        self.catalogue.price(row.map_or("", |row| &*row.model), prompt_type)
    }

    /// Returns a question for the user, such as `Video with sound, about $2.40?`, if the verdict is
    /// unsure (a confidence below 0.9) and its type costs at least $0.20 more than another likely
    /// type.
    pub fn confirmation(&self, verdict: &Verdict) -> Option<String> {
        confirmation(verdict, &|prompt_type| self.price(prompt_type))
    }

    /// Returns what the words of a request ask for, as all stages of the local classifier read
    /// them.
    pub fn read(&self, request: &Request) -> Goals {
        #[cfg(feature = "encoder")]
        if let Some(encoder) = &self.encoder {
            let (goals, embedding) = encoder.read(self.local, &words(&request.prompt), request.facts);
            return match &self.examples {
                Some(examples) => examples.teach(goals, &embedding, request.facts, &self.matrix),
                None => goals,
            };
        }
        self.read_fast(request)
    }

    /// Returns what the words of a request ask for, as the linear model alone reads them, in
    /// microseconds.
    pub fn read_fast(&self, request: &Request) -> Goals {
        self.local.goals(&words(&request.prompt), request.facts)
    }

    /// Decides by the facts alone. Returns a verdict with confidence 1 if only one type is
    /// feasible.
    pub fn classify_by_facts(&self, request: &Request) -> Option<Verdict> {
        let prompt_type = self.feasible(request.facts).single()?;
        let likely = self.likely(request.facts, self.read_fast(request));
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
            alternatives: Vec::new(),
            unclear: false,
            cost_micros: 0,
        })
    }

    /// Decides without an AI: [`classify_goals`](Self::classify_goals) of what the local classifier
    /// [reads](Self::read).
    pub fn classify_locally(&self, request: &Request) -> Verdict {
        self.classify_goals(request.facts, self.read(request))
    }

    /// Decides by the probabilities of goals. The result is the feasible type with the greatest
    /// probability, which is the sum over the goals that lead to it. If the words ask for no
    /// picture at all, the result is the cheapest feasible type and `unclear`.
    pub fn classify_goals(&self, facts: Facts, goals: Goals) -> Verdict {
        let likely = self.likely(facts, goals);
        let unclear = f64::from(goals.none()) >= UNCLEAR;
        let (prompt_type, confidence) = if unclear {
            let cheapest = self.feasible(facts).iter().min_by_key(|prompt_type| self.price(*prompt_type));
            cheapest.map_or_else(|| likely.best(), |prompt_type| (prompt_type, likely.rounded(prompt_type)))
        } else {
            likely.best()
        };
        let goal = likely.goal(prompt_type);
        let row = self.matrix.decide(goal, facts).number;
        let asked = if unclear { "no picture, video or edit" } else { goal.as_str() };
        let asked = match goals.example() {
            Some(Taught { line, similarity }) => {
                format!(
                    "examples: line {line} asks for {asked} in nearly these words (similarity {similarity:.2})"
                )
            }
            None => format!("the words ask for {asked}"),
        };
        let reasoning = if unclear {
            format!("{asked}; {prompt_type} is the cheapest possible type")
        } else {
            format!("{asked}; with these media that is {prompt_type} (row {row})")
        };
        Verdict {
            prompt_type,
            goal,
            source: Source::Local,
            confidence,
            reasoning,
            corrected_from: None,
            enhancement: None,
            audio: goal == Goal::CreateVideoWithAudio,
            alternatives: likely.alternatives(prompt_type, confidence),
            unclear,
            cost_micros: 0,
        }
    }

    /// Judges the answer of an AI. A feasible type is accepted with the confidence that the AI
    /// states. An infeasible type is corrected to the most likely feasible type, with the
    /// confidence of the linear model. The reasoning of the AI is kept. Its enhanced prompt is
    /// discarded, because it was written for another type.
    pub fn correct(&self, request: &Request, answer: Answer) -> Verdict {
        self.correct_with(request, answer, self.read_fast(request))
    }

    /// Judges the answer of an AI like [`correct`](Self::correct), with the goals that the local
    /// classifier has read.
    pub fn correct_with(&self, request: &Request, answer: Answer, goals: Goals) -> Verdict {
        let likely = self.likely(request.facts, goals);
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
            alternatives: likely.alternatives(prompt_type, confidence),
            unclear: false,
            cost_micros: answer.cost_micros,
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

    fn likely(&self, facts: Facts, goals: Goals) -> Likely<'_> {
        Likely { matrix: &self.matrix, facts, goals }
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
        (best.0, self.rounded(best.0))
    }

    /// Returns the rounded probability of a type.
    fn rounded(&self, prompt_type: PromptType) -> f64 {
        rounded(self.probability(prompt_type))
    }

    /// Returns the other feasible types that are not negligible, the most likely first. They share
    /// what the confidence in the chosen type leaves.
    fn alternatives(&self, chosen: PromptType, confidence: f64) -> Vec<Alternative> {
        let rest = 1.0 - self.probability(chosen);
        let scale = if rest > 0.0 { (1.0 - confidence) / rest } else { 0.0 };
        let mut others: Vec<Alternative> = self
            .matrix
            .feasible(self.facts)
            .iter()
            .filter(|prompt_type| *prompt_type != chosen)
            .map(|prompt_type| Alternative {
                prompt_type,
                probability: rounded(self.probability(prompt_type) * scale),
            })
            .filter(|other| other.probability >= NEGLIGIBLE)
            .collect();
        others.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        others
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

/// Returns a probability with four digits.
fn rounded(probability: f64) -> f64 {
    (probability.clamp(0.0, 1.0) * 1e4).round() / 1e4
}
