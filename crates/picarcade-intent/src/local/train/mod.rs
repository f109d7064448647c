//! How the local classifier's model is made, and how good it is.
//!
//! Only with the feature `train`: the service never trains, and the build never does either. The corpus is text in this
//! crate's `corpus/` directory; [`train`] turns it into the bytes of `data/local-1.bin`, the same bytes for the same
//! corpus on every machine of one floating-point behaviour; [`evaluate`] judges a model on prompts that were written
//! apart from the corpus. The errors are those of reading files; a fault in a corpus file names its line.

mod corpus;
mod evaluate;
mod fit;
mod generate;
mod judged;
mod noise;
mod random;
mod report;

pub use corpus::{Corpus, CorpusError};
pub use evaluate::{Evaluation, Tally, Verdict, evaluate};
pub use fit::{Trained, train};
pub use judged::{Judged, read_judged};
pub use report::report;
