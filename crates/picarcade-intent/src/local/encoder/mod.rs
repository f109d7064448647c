//! The second stage of the local classifier: a small text encoder that reads a prompt as a whole.
//!
//! The linear model adds up features, so a hundred words of description outvote three words that
//! matter. The encoder sees every word in its context, in about a hundred languages. It costs
//! milliseconds instead of microseconds.
//!
//! The architecture is that of `multilingual-e5-small` (Wang et al., 2024, "Multilingual E5 Text
//! Embeddings", arXiv:2402.05672), a BERT (Devlin et al., 2019, arXiv:1810.04805), cut after its
//! first layers and fine-tuned to the [senses](Sense) of this crate. The mean of the last layer
//! over all tokens goes through one linear head. The facts enter twice: as a vector that is added
//! to the first token, and as a bias of the head. In the order of the work:
//!
//! 1. `tokenizer` normalizes the text and splits it into the pieces of the vocabulary (`trie`);
//! 2. `forward` computes the layers from the numbers that `weights` read and checked: `words` has
//!    the word vectors, `dense` the products with weights, `attention` those between tokens, and
//!    `math` the functions between them;
//! 3. `Encoder` converts the scores to probabilities, with the priors and the goals of the linear
//!    stage;
//! 4. `embedding` is what examples of an operator are compared with prompts by.
//!
//! No code here does I/O, reads a clock or uses random numbers. Equal inputs give equal scores on
//! every machine: large sums are integers, and the order of the others does not depend on the
//! vector instructions. Only the last step, eight exponentials, is that of the platform.

mod attention;
mod dense;
mod embedding;
mod forward;
mod math;
mod tokenizer;
mod trie;
mod weights;
mod words;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use crate::Facts;
use crate::local::classifier::{LocalClassifier, softmax};
use crate::local::encoder::forward::Output;
use crate::local::encoder::tokenizer::Tokenizer;
use crate::local::encoder::weights::Weights;
use crate::local::encoder::words::Words;
use crate::local::goals::Goals;
use crate::local::sense::{Regime, Sense};
use crate::version::of_hash_at_end;

pub(crate) use embedding::{Embedding, Similarity};
pub use weights::EncoderError;

/// The maximum number of tokens that the encoder reads, including the first and the last.
///
/// A longer prompt keeps its beginning and its end: requests are there more often than in the
/// middle. The time grows with the number of tokens.
const MAX_TOKENS: usize = 256;

/// The share of the encoder in the combined log probabilities, from 0 to 1. The rest is that of the
/// linear model.
const ENCODER_SHARE: f32 = 0.85;

/// The greatest amount of a score, far above what a trained head gives.
const MAX_SCORE: f32 = 1e4;

/// A fine-tuned text encoder that finds what a prompt asks for.
///
/// The crate contains no weights. A call takes milliseconds of one core, so asynchronous callers
/// need a thread for it.
///
/// ```no_run
/// use picarcade_intent::local::Encoder;
/// use picarcade_intent::{Facts, Goal};
///
/// let encoder = Encoder::parse(std::fs::read("encoder-1.bin")?)?;
/// let image_open = Facts { active_image: true, ..Facts::default() };
/// let goals = encoder.goals("remove the moving truck", image_open);
/// assert_eq!(goals.best().0, Goal::Edit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Encoder {
    tokenizer: Tokenizer,
    words: Words,
    weights: Weights,
    version: String,
}

impl Encoder {
    /// Reads and checks a file of weights.
    ///
    /// The table of word vectors is used in place, so bytes that are embedded in a program are not
    /// copied. The matrices are converted once.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not an encoder, belong to another version, or are damaged.
    pub fn parse(file: impl Into<Cow<'static, [u8]>>) -> Result<Self, EncoderError> {
        let file = file.into();
        let (vocabulary, table, weights) = weights::parse(&file)?;
        let version = of_hash_at_end(&file);
        let tokenizer = Tokenizer::new(vocabulary)?;
        let words = Words::new(file, table, weights.sizes.hidden).ok_or(EncoderError::Damaged)?;
        Ok(Self { tokenizer, words, weights, version })
    }

    /// Returns the version of the weights: the first 16 hexadecimal digits of the hash in their
    /// file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the probability of each goal for these words under these facts.
    pub fn goals(&self, prompt: &str, facts: Facts) -> Goals {
        let (senses, none) = self.senses(&self.run(&self.tokens(prompt), facts), facts);
        Goals::from_senses(senses, Regime::of(facts)).with_none(none)
    }

    /// Returns the probability of each goal from both stages, and the embedding.
    ///
    /// The probabilities are the weighted geometric mean of what the stages find.
    pub(crate) fn read(&self, linear: &LocalClassifier, prompt: &str, facts: Facts) -> (Goals, Embedding) {
        let regime = Regime::of(facts);
        let tokens = self.tokens(prompt);
        let output = self.run(&tokens, facts);
        let (senses, none) = self.senses(&output, facts);
        let senses = combine(senses, linear.senses(prompt, regime));
        (Goals::from_senses(senses, regime).with_none(none), self.embed(output, &tokens))
    }

    /// Returns the embedding of these words under these facts.
    pub(crate) fn embedding(&self, prompt: &str, facts: Facts) -> Embedding {
        let tokens = self.tokens(prompt);
        self.embed(self.run(&tokens, facts), &tokens)
    }

    fn embed(&self, output: Output, tokens: &[u32]) -> Embedding {
        let pieces = tokens.iter().map(|piece| (*piece, self.tokenizer.rarity(*piece)));
        Embedding::new(output.last, pieces)
    }

    /// Returns the probability of each sense if the words ask for a picture, in the order of
    /// [`Sense::ALL`], and the probability that they do not.
    fn senses(&self, output: &Output, facts: Facts) -> ([f32; Sense::COUNT], f32) {
        let regime = Regime::of(facts);
        let classes = softmax(output.scores, self.weights.sharpness(regime));
        let [senses @ .., none] = classes;
        (Sense::weigh(senses, regime), none)
    }

    /// Returns what the network finds, before calibration.
    fn run(&self, tokens: &[u32], facts: Facts) -> Output {
        let mut output = forward::run(&self.words, &self.weights, tokens, facts);
        // Weights of absurd size overflow. Without scores, the priors decide.
        output.scores = output
            .scores
            .map(|score| if score.is_finite() { score.clamp(-MAX_SCORE, MAX_SCORE) } else { 0.0 });
        output
    }

    /// Returns the numbers of the pieces of a prompt as the encoder reads them.
    ///
    /// Training must see the same numbers.
    pub fn tokens(&self, prompt: &str) -> Vec<u32> {
        self.tokenizer.tokens(prompt, MAX_TOKENS.min(self.weights.positions()))
    }
}

/// Combines the probabilities of both stages, so that they sum to one.
fn combine(encoder: [f32; Sense::COUNT], linear: [f32; Sense::COUNT]) -> [f32; Sense::COUNT] {
    /// Keeps a sense possible that one stage excludes.
    const LEAST: f32 = 1e-6;
    let mut senses = encoder;
    for (sense, linear) in senses.iter_mut().zip(linear) {
        *sense =
            (ENCODER_SHARE * (*sense + LEAST).ln() + (1.0 - ENCODER_SHARE) * (linear + LEAST).ln()).exp();
    }
    let sum: f32 = senses.iter().sum();
    senses.map(|sense| sense / sum)
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("weights", &self.weights).finish_non_exhaustive()
    }
}
