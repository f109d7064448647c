//! Checks that need all rows: models that do not fit, duplicates, gaps, and rows without effect.

use super::QUESTIONS;
use super::draft::{Applies, Draft};
use super::row::MatrixRow;
use crate::catalogue::Catalogue;
use crate::facts::Facts;
use crate::goal::Goal;
use crate::problem::Problem;

/// Checks that the model of each row is known and makes what the row promises.
pub(super) fn models(drafts: &[Draft], catalogue: &Catalogue, problems: &mut Vec<Problem>) {
    for draft in drafts {
        let Some(name) = &draft.model else { continue };
        match (catalogue.model(name), draft.prompt_type) {
            (None, _) => {
                problems.push(Problem::error(draft.line, "model", format!("unknown model {name:?}")));
            }
            (Some(model), Some(prompt_type)) if !model.types.contains(&prompt_type) => {
                let message = format!("model {name:?} does not make {prompt_type}");
                problems.push(Problem::error(draft.line, "model", message));
            }
            (Some(_), _) => {}
        }
    }
}

/// Finds rows with the same conditions, and numbers that are used twice.
pub(super) fn doubles(drafts: &[Draft], problems: &mut Vec<Problem>) {
    for (index, draft) in drafts.iter().enumerate() {
        let earlier = || drafts.iter().take(index);
        if let Some(number) = draft.number
            && let Some(first) = earlier().find(|earlier| earlier.number == Some(number))
        {
            let message = format!("duplicate number {number}, as on line {}", first.line);
            problems.push(Problem::error(draft.line, "#", message));
        }
        if let Some(conditions) = draft.conditions()
            && let Some(first) = earlier().find(|earlier| earlier.conditions() == Some(conditions))
        {
            let message = format!("duplicate of the row on line {}", first.line);
            problems.push(Problem::error(draft.line, "goal", message));
        }
    }
}

/// Returns the answer to every question, goal by goal and facts by facts, or `None` if there are
/// errors.
///
/// `end` is the line where a missing row could be added.
pub(super) fn decisions(
    drafts: &[Draft],
    end: u64,
    problems: &mut Vec<Problem>,
) -> Option<Box<[MatrixRow; QUESTIONS]>> {
    let mut answers = Vec::with_capacity(QUESTIONS);
    let mut reached = vec![Vec::new(); drafts.len()];
    for goal in Goal::ALL {
        for facts in Facts::all() {
            let mut is_open = true;
            for (draft, reached) in drafts.iter().zip(&mut reached) {
                let applies = draft.applies(goal, facts);
                if applies == Applies::Never {
                    continue;
                }
                is_open = false;
                reached.push(facts);
                if applies == Applies::Surely {
                    answers.extend(draft.row());
                    break;
                }
            }
            // An upload and a stored reference are the same question, which is reported once.
            if is_open && !facts.referenced_image {
                problems.push(Problem::error(
                    end,
                    "goal",
                    format!("no row for {goal} with {}", described(facts)),
                ));
            }
        }
    }
    for (draft, facts) in drafts.iter().zip(reached) {
        effects(draft, &facts, problems);
    }
    if problems.iter().any(Problem::is_error) {
        return None;
    }
    answers.try_into().ok().map(Box::new)
}

/// Finds rows that no question reaches, or whose type cannot be made from the media of their facts.
fn effects(draft: &Draft, facts: &[Facts], problems: &mut Vec<Problem>) {
    // A duplicate is unreachable too and has already been reported as a duplicate.
    let is_double = problems.iter().any(|problem| problem.line == draft.line && problem.is_error());
    if facts.is_empty() && !is_double {
        let message = "unreachable row: the rows above it match all that it matches";
        problems.push(Problem::warning(draft.line, "goal", message));
    }
    if let (Some(prompt_type), Some(_)) = (draft.prompt_type, draft.conditions())
        && let Some(facts) = facts.iter().find(|facts| !prompt_type.is_possible_with(**facts))
    {
        let message = format!("{prompt_type} is reached with {}, which lacks its media", described(*facts));
        problems.push(Problem::warning(draft.line, "prompt_type", message));
    }
}

/// Formats facts in the words of the columns.
fn described(facts: Facts) -> String {
    let word = |yes| if yes { "YES" } else { "NO" };
    format!(
        "active_image {}, active_video {}, references {}",
        word(facts.active_image),
        word(facts.active_video),
        word(facts.references())
    )
}
