//! The evaluation as a page of Markdown.

use std::fmt::{self, Write};

use crate::local::train::evaluate::{Evaluation, Tally, Verdict};

/// Writes every table of an evaluation: overall, by type, language, tag and facts, the confusion matrix, calibration
/// and the cascade.
pub fn report(evaluation: &Evaluation) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(evaluation, &mut page);
    page
}

fn write_report(evaluation: &Evaluation, page: &mut String) -> fmt::Result {
    let all = evaluation.tally(|_| true);
    let open = evaluation.tally(Verdict::open);
    writeln!(page, "| set | prompts | right types |\n| --- | ---: | ---: |")?;
    row(page, "all", all)?;
    row(page, "facts leave several types open", open)?;
    let goals = evaluation.tally(|_| true);
    let _ = goals;
    writeln!(page, "\nExpected calibration error: {:.3}\n", evaluation.calibration_error())?;
    table(page, "type", evaluation.by(|verdict| verdict.wanted.to_owned()))?;
    table(page, "goal", evaluation.by(|verdict| verdict.judged.goal.to_string()))?;
    table(page, "language", evaluation.by(|verdict| verdict.judged.language.clone()))?;
    table(page, "tag", evaluation.by(|verdict| verdict.judged.tag.clone()))?;
    writeln!(page, "| wanted | found | prompts |\n| --- | --- | ---: |")?;
    for ((wanted, found), count) in evaluation.confusion() {
        if wanted != found {
            writeln!(page, "| {wanted} | {found} | {count} |")?;
        }
    }
    writeln!(page, "\n| threshold | AI calls saved | right among the kept | \n| ---: | ---: | ---: |")?;
    for threshold in [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98] {
        let kept = evaluation.tally(|verdict| verdict.confidence >= threshold);
        let saved = kept.all as f64 / all.all.max(1) as f64;
        writeln!(page, "| {threshold:.2} | {:.1} % | {:.1} % |", saved * 100.0, kept.share() * 100.0)?;
    }
    Ok(())
}

fn table(page: &mut String, name: &str, tallies: impl IntoIterator<Item = (String, Tally)>) -> fmt::Result {
    writeln!(page, "| {name} | prompts | right types |\n| --- | ---: | ---: |")?;
    for (key, tally) in tallies {
        row(page, &key, tally)?;
    }
    writeln!(page)
}

fn row(page: &mut String, name: &str, tally: Tally) -> fmt::Result {
    writeln!(page, "| {name} | {} | {:.1} % |", tally.all, tally.share() * 100.0)
}
