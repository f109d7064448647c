//! Trains and evaluates the model of the local classifier.
//!
//! The module needs the feature `train`: neither the service nor the build trains. The corpus is
//! text in the directory `corpus/` of this crate. [`train`] turns it into the bytes of
//! `data/local-1.bin`, the same bytes on every machine with the same floating-point behavior.
//! [`evaluate`] judges a model on prompts that were written separately from the corpus. Errors are
//! those of reading files; an error in a corpus file names its line.

mod corpus;
mod evaluate;
mod fit;
mod generate;
mod judged;
mod noise;
mod random;
mod report;

pub use corpus::{Corpus, CorpusError};
pub use evaluate::{Accuracy, Evaluation, Judgment, evaluate};
pub use fit::{Trained, train};
pub use judged::{Judged, read_judged};
pub use report::report;
