//! The local classifier: what the words of a prompt ask for, found offline.
//!
//! It answers when no AI is configured, when an AI fails, and when its own confidence is high enough that an AI call
//! would buy nothing. It is a small trained model, not a list of keywords: hashed words, word pairs and character
//! n-grams vote for one of eight [senses](Sense), and a fixed table turns the sense into a [`Goal`](crate::Goal) under
//! the [`Facts`](crate::Facts). The reading order is the order of the work:
//!
//! 1. `fold` makes one spelling of many (case, accents, width, traditional characters);
//! 2. `token` cuts the folded text into words and clauses and marks what is quoted or, by `negation`, negated;
//! 3. `feature` hashes them into buckets;
//! 4. `model` holds the weights, read from one checked file that is part of the binary;
//! 5. `sense` and `goals` turn the scores into calibrated probabilities of goals.
//!
//! Nothing here does IO, reads a clock or draws a random number, so equal inputs give equal answers everywhere. No input
//! is an error: an empty or unreadable prompt gets the probabilities that its facts alone suggest.
//!
//! With the feature `train` the module also holds the trainer and the evaluation, in `train`.

mod classifier;
mod feature;
mod fold;
mod goals;
mod model;
mod negation;
mod sense;
mod token;
#[cfg(feature = "train")]
pub mod train;

pub use classifier::LocalClassifier;
pub use goals::Goals;
pub use model::ModelError;
pub use sense::Sense;
