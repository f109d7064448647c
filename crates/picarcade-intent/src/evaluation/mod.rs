//! How often the classifier without an AI is right on labeled prompts, and what its errors cost.
//!
//! [`read_labeled`] reads the labels, [`evaluate`] asks a [`Classifier`](crate::Classifier) exactly
//! as a request without an AI does, and [`report`] formats the figures as Markdown.
//!
//! A figure is only worth something on prompts that nothing was tuned on. Split a file by its
//! sources before you tune anything, and report the part that you never looked at.

mod labeled;
mod measure;
mod read;
mod report;
mod rows;

pub use labeled::{Label, Labeled};
pub use measure::{Accuracy, Evaluation, Judgment, evaluate};
pub use read::{LabeledError, read_labeled};
pub use report::report;
pub use rows::Format;
#[cfg(feature = "encoder")]
pub(crate) use rows::{rows, text_of};
