//! Examples: labeled prompts of an operator that teach the local classifier without training.
//!
//! A request with nearly the words of an example, under the same kind of media, gets the label of
//! the example. In the order of the work:
//!
//! 1. `list` reads and checks a file, in milliseconds;
//! 2. `outcome` gives a label its meaning under the facts of a request;
//! 3. `taught` computes the embeddings, some milliseconds for each example, and finds the example
//!    that decides.
//!
//! Examples change the probabilities of goals, so everything after them is as without examples: the
//! matrix, the correction of an AI, the question about the price.

mod list;
mod outcome;
mod taught;

pub use list::ExampleList;
pub use taught::{Conflict, Examples};
