//! What only shows when the rows are seen together: models that do not fit, doubles, gaps, and rows without effect.

use super::parse::{Parsed, Placed};
use super::row::Row;
use super::QUESTIONS;
use crate::catalogue::Catalogue;
use crate::facts::Facts;
use crate::goal::Goal;
use crate::problem::Problem;

/// Whether each row's model is known and makes what the row promises.
pub(super) fn models(parsed: &Parsed, catalogue: &Catalogue, problems: &mut Vec<Problem>) {
    for Placed { line, row } in &parsed.rows {
        match catalogue.model(&row.model) {
            None => problems.push(Problem::error(*line, "model", format!("unknown model {:?}", row.model))),
            Some(model) if !model.types.contains(&row.prompt_type) => {
                let message = format!("model {:?} does not make {}", row.model, row.prompt_type);
                problems.push(Problem::error(*line, "model", message));
            }
            Some(_) => {}
        }
    }
}

/// The answer to every question, goal by goal and facts by facts; `None` when there are errors.
///
/// `end` is the line where a missing row could be added.
pub(super) fn decisions(
    parsed: &Parsed,
    end: u64,
    problems: &mut Vec<Problem>,
) -> Option<Box<[Row; QUESTIONS]>> {
    let before = problems.len();
    doubles(parsed, problems);
    let mut answers = Vec::with_capacity(QUESTIONS);
    let mut reached = vec![Vec::new(); parsed.rows.len()];
    for goal in Goal::ALL {
        for facts in Facts::all() {
            let first = parsed.rows.iter().enumerate().find(|(_, placed)| placed.row.matches(goal, facts));
            if let Some((index, placed)) = first {
                answers.push(placed.row.clone());
                if let Some(facts_of_row) = reached.get_mut(index) {
                    facts_of_row.push(facts);
                }
            } else if !facts.referenced_image {
                // An upload and a stored reference ask the same question: name it once.
                problems.push(Problem::error(
                    end,
                    None,
                    format!("no row for {goal} with {}", described(facts)),
                ));
            }
        }
    }
    if problems.iter().skip(before).any(Problem::is_error) {
        return None;
    }
    for (placed, facts) in parsed.rows.iter().zip(reached) {
        effects(placed, &facts, problems);
    }
    answers.try_into().ok().map(Box::new)
}

/// Rows that ask for the same again, and numbers that are given twice.
fn doubles(parsed: &Parsed, problems: &mut Vec<Problem>) {
    for (index, Placed { line, row }) in parsed.rows.iter().enumerate() {
        for earlier in parsed.rows.iter().take(index) {
            if earlier.row.number == row.number {
                let message = format!("duplicate number {}, as on line {}", row.number, earlier.line);
                problems.push(Problem::error(*line, "#", message));
            }
            if conditions(&earlier.row) == conditions(row) {
                let message = format!("duplicate of the row on line {}", earlier.line);
                problems.push(Problem::error(*line, "goal", message));
            }
        }
    }
}

fn conditions(row: &Row) -> (&[Goal], [Option<bool>; 3]) {
    (&row.goals, [row.active_image, row.active_video, row.references])
}

/// A row that nothing reaches, or whose type cannot be made of the media that its facts promise.
fn effects(placed: &Placed, facts: &[Facts], problems: &mut Vec<Problem>) {
    let Placed { line, row } = placed;
    if facts.is_empty() {
        problems.push(Problem::warning(
            *line,
            None,
            "unreachable row: the rows above it match all that it matches",
        ));
    } else if let Some(facts) = facts.iter().find(|facts| !row.prompt_type.is_possible_with(**facts)) {
        let message =
            format!("{} is reached with {}, which lacks its media", row.prompt_type, described(*facts));
        problems.push(Problem::warning(*line, "prompt_type", message));
    }
}

/// Facts in the words of the columns.
fn described(facts: Facts) -> String {
    let word = |yes| if yes { "YES" } else { "NO" };
    format!(
        "active_image {}, active_video {}, references {}",
        word(facts.active_image),
        word(facts.active_video),
        word(facts.references())
    )
}
