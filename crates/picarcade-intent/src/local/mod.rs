//! The local classifier: finds what the words of a prompt ask for, offline.
//!
//! It answers if no AI is configured, if an AI fails, and if its own confidence is so high that an
//! AI call would add nothing. It is a small trained model and no list of keywords: hashed words,
//! word pairs and character n-grams vote for one of eight [senses](Sense), and a fixed table maps
//! the sense to a [`Goal`](crate::Goal) under the [`Facts`](crate::Facts). In the order of the
//! work:
//!
//! 1. `language::fold` removes spelling variants (case, accents, width, traditional characters);
//! 2. `tokenize` splits the folded text into words and clauses and marks what is quoted or, by
//!    `negation`, negated;
//! 3. `feature` hashes them into buckets;
//! 4. `model` holds the weights, read from one checked file that is embedded in the binary;
//! 5. `sense` and `goals` convert the scores to calibrated probabilities of goals.
//!
//! The examples of an operator change these goals; they are in `examples` next to this folder.
//!
//! No code here does I/O, reads a clock or uses random numbers, so equal inputs give equal answers
//! on every machine. No input is an error: an empty or unreadable prompt gets the probabilities
//! that its facts suggest.
//!
//! With the feature `train`, the module also contains the trainer and the evaluation, in `train`.

mod classifier;
#[cfg(feature = "encoder")]
mod encoder;
mod feature;
mod goals;
mod model;
mod negation;
mod sense;
mod token;
mod tokenize;
#[cfg(feature = "train")]
pub mod train;

pub use classifier::LocalClassifier;
#[cfg(feature = "encoder")]
pub(crate) use encoder::{Embedding, Similarity};
#[cfg(feature = "encoder")]
pub use encoder::{Encoder, EncoderError};
pub use goals::{Goals, Taught};
pub use model::ModelError;
#[cfg(feature = "encoder")]
pub(crate) use sense::Regime;
pub use sense::Sense;
