//! Formats an evaluation as Markdown.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use crate::local::train::evaluate::{Accuracy, Evaluation};

/// The thresholds in the table of the cascade.
const THRESHOLDS: [f64; 9] = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98];

/// Formats every table of an evaluation: overall, by type, goal, language and tag, the confusion
/// matrix, calibration and the cascade.
pub fn report(evaluation: &Evaluation) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(evaluation, &mut page);
    page
}

fn write_report(evaluation: &Evaluation, page: &mut String) -> fmt::Result {
    heading(page, "prompts")?;
    row(page, "all", evaluation.accuracy(|_| true))?;
    row(page, "facts leave several types open", evaluation.accuracy(|verdict| verdict.open))?;
    writeln!(
        page,
        "\nExpected calibration error, ten bins: {:.3}; log loss: {:.3}\n",
        evaluation.calibration_error(),
        evaluation.log_loss()
    )?;
    table(page, "type", evaluation.by(|verdict| verdict.wanted.as_str().to_owned()))?;
    table(page, "goal", evaluation.by(|verdict| verdict.judged.goal.to_string()))?;
    table(page, "language", evaluation.by(|verdict| verdict.judged.language.clone()))?;
    table(page, "tag", evaluation.by(|verdict| verdict.judged.tag.clone()))?;
    confusion(evaluation, page)?;
    cascade(evaluation, page)
}

/// Formats the right types (rows) against the found types (columns). Columns are numbered like the
/// rows.
fn confusion(evaluation: &Evaluation, page: &mut String) -> fmt::Result {
    let counts = evaluation.confusion();
    let types: BTreeSet<_> = counts.keys().flat_map(|(wanted, found)| [*wanted, *found]).collect();
    write!(page, "| wanted \\ found |")?;
    for number in 1..=types.len() {
        write!(page, " {number} |")?;
    }
    write!(page, "\n| --- |{}", " ---: |".repeat(types.len()))?;
    for (number, wanted) in types.iter().enumerate() {
        write!(page, "\n| {} {wanted} |", number + 1)?;
        for found in &types {
            match counts.get(&(*wanted, *found)) {
                Some(count) => write!(page, " {count} |")?,
                None => write!(page, " |")?,
            }
        }
    }
    writeln!(page, "\n")
}

fn cascade(evaluation: &Evaluation, page: &mut String) -> fmt::Result {
    let all = evaluation.judgments.len().max(1) as f64;
    writeln!(page, "| threshold | AI calls saved | right among those |\n| ---: | ---: | ---: |")?;
    for threshold in THRESHOLDS {
        let kept = evaluation.accuracy(|verdict| verdict.confidence >= threshold);
        let saved = kept.all as f64 / all;
        writeln!(page, "| {threshold:.2} | {:.1} % | {:.1} % |", saved * 100.0, kept.share() * 100.0)?;
    }
    Ok(())
}

fn table(
    page: &mut String,
    name: &str,
    accuracies: impl IntoIterator<Item = (String, Accuracy)>,
) -> fmt::Result {
    heading(page, name)?;
    for (key, accuracy) in accuracies {
        row(page, &key, accuracy)?;
    }
    writeln!(page)
}

fn heading(page: &mut String, name: &str) -> fmt::Result {
    writeln!(page, "| {name} | number | right types |\n| --- | ---: | ---: |")
}

fn row(page: &mut String, name: &str, accuracy: Accuracy) -> fmt::Result {
    writeln!(page, "| {name} | {} | {:.1} % |", accuracy.all, accuracy.share() * 100.0)
}
