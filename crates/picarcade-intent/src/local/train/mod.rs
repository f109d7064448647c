//! Trains and evaluates the model of the local classifier.
//!
//! The module needs the feature `train`: neither the service nor the build trains. The corpus is
//! text in the directory `corpus/` of this crate. [`train`] turns it into the bytes of
//! `data/local-1.bin`, the same bytes on every machine with the same floating-point behavior.
//! [`evaluate`](crate::evaluation::evaluate) judges a model on prompts that were written separately
//! from the corpus. Errors are those of reading files; an error in a corpus file names its line.

mod corpus;
mod fit;
mod generate;
mod noise;
mod random;

pub use corpus::{Corpus, CorpusError};
pub use fit::{LabeledPrompts, Trained, train};
pub use generate::{TextExample, examples};

/// Returns the text of a prompt that the local classifier reads: normalized, without instructions
/// to the service, and without what a brief refuses.
pub fn classifier_text(prompt: &crate::Prompt) -> String {
    crate::words::words(prompt)
}
