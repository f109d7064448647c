//! What the label of an example means for a request.

use crate::evaluation::{Label, Labeled};
use crate::facts::Facts;
use crate::goal::Goal;
use crate::matrix::Matrix;
use crate::prompt_type::PromptType;

/// What an example means for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The request has this type.
    Type(PromptType),
    /// The request asks for no picture, video or edit.
    Nothing,
    /// The label is a type under other facts, and the goals that lead to it there lead to several
    /// types here.
    Open,
}

/// Returns the goals that the label of an example stands for. A type stands for every goal that
/// leads to it under the facts of the example; words that ask for nothing have no goal.
pub(crate) fn goals(example: &Labeled, matrix: &Matrix) -> impl Iterator<Item = Goal> {
    let (label, facts) = (example.label, example.facts);
    Goal::ALL.into_iter().filter(move |goal| match label {
        Label::Goal(wanted) => *goal == wanted,
        Label::Type(wanted) => matrix.decide(*goal, facts).prompt_type == wanted,
        Label::Unclear => false,
    })
}

/// Returns what an example means for a request under these facts.
pub(crate) fn outcome(example: &Labeled, facts: Facts, matrix: &Matrix) -> Outcome {
    if example.label == Label::Unclear {
        return Outcome::Nothing;
    }
    let mut types = goals(example, matrix).map(|goal| matrix.decide(goal, facts).prompt_type);
    match types.next() {
        Some(first) if types.all(|other| other == first) => Outcome::Type(first),
        _ => Outcome::Open,
    }
}
