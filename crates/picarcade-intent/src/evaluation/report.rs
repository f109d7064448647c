//! Formats an evaluation as Markdown.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use crate::Goal;
use crate::evaluation::labeled::Label;
use crate::evaluation::measure::{Accuracy, Evaluation, Judgment};

/// The thresholds in the table of the cascade.
const THRESHOLDS: [f64; 9] = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98];

/// Formats every table of an evaluation: overall, by type, goal, language, length and tag, prompts
/// that ask for nothing, calibration, the cost of errors, the confusion matrix and the cascade.
pub fn report(evaluation: &Evaluation) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(evaluation, &mut page);
    page
}

fn write_report(evaluation: &Evaluation, page: &mut String) -> fmt::Result {
    let is_request = |judgment: &Judgment| judgment.wanted.is_some();
    let is_sound = |judgment: &Judgment| judgment.labeled.label == Label::Goal(Goal::CreateVideoWithAudio);
    heading(page, "prompts")?;
    row(page, "all that ask for something", evaluation.accuracy(is_request))?;
    row(
        page,
        "facts leave several types open",
        evaluation.accuracy(|judgment| is_request(judgment) && judgment.open),
    )?;
    row(
        page,
        "400 characters and more",
        evaluation.accuracy(|judgment| is_request(judgment) && is_long(judgment)),
    )?;
    row(page, "sound asked for", evaluation.accuracy(is_sound))?;
    row(page, "ask for no picture, recognized", evaluation.accuracy(|judgment| !is_request(judgment)))?;
    let requests = evaluation.accuracy(is_request).all;
    if requests == 0 {
        return Ok(());
    }
    let of = |condition: fn(&Judgment) -> bool| {
        evaluation.judgments.iter().filter(|judgment| is_request(judgment) && condition(judgment)).count()
    };
    writeln!(
        page,
        "\nExpected calibration error, ten bins: {:.3}; log loss: {:.3}. Of {requests} requests, {} would overspend by $0.20 or \
         more without a question, {} are answered with a question about the price, and {} are taken for no request.\n",
        evaluation.calibration_error(),
        evaluation.log_loss(),
        of(Judgment::is_expensive_error),
        of(|judgment| judgment.confirm),
        of(|judgment| judgment.unclear),
    )?;
    let wanted = |judgment: &Judgment| judgment.wanted.map_or("", |wanted| wanted.as_str()).to_owned();
    table(page, "type", evaluation.by(wanted))?;
    table(page, "goal", evaluation.by(goal))?;
    table(page, "language", evaluation.by(|judgment| judgment.labeled.language.clone()))?;
    table(page, "tag", evaluation.by(|judgment| judgment.labeled.tag.clone()))?;
    confusion(evaluation, page)?;
    cascade(evaluation, page)
}

fn is_long(judgment: &Judgment) -> bool {
    judgment.labeled.prompt.as_str().chars().nth(399).is_some()
}

fn goal(judgment: &Judgment) -> String {
    match judgment.labeled.label {
        Label::Goal(goal) => goal.to_string(),
        Label::Type(_) | Label::Unclear => String::new(),
    }
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
    let all = evaluation.accuracy(|judgment| judgment.wanted.is_some()).all.max(1) as f64;
    writeln!(page, "| threshold | AI calls saved | right among those |\n| ---: | ---: | ---: |")?;
    for threshold in THRESHOLDS {
        let kept =
            evaluation.accuracy(|judgment| judgment.wanted.is_some() && judgment.confidence >= threshold);
        let saved = kept.all as f64 / all;
        writeln!(page, "| {threshold:.2} | {:.1} % | {:.1} % |", saved * 100.0, kept.share() * 100.0)?;
    }
    Ok(())
}

/// Formats one accuracy per key. A set whose only key is empty does not have this property.
fn table(
    page: &mut String,
    name: &str,
    accuracies: impl IntoIterator<Item = (String, Accuracy)>,
) -> fmt::Result {
    let mut known = accuracies.into_iter().filter(|(key, _)| !key.is_empty()).peekable();
    if known.peek().is_none() {
        return Ok(());
    }
    heading(page, name)?;
    for (key, accuracy) in known {
        row(page, &key, accuracy)?;
    }
    writeln!(page)
}

fn heading(page: &mut String, name: &str) -> fmt::Result {
    writeln!(page, "| {name} | number | right | 95 % interval |\n| --- | ---: | ---: | ---: |")
}

fn row(page: &mut String, name: &str, accuracy: Accuracy) -> fmt::Result {
    if accuracy.all == 0 {
        return Ok(());
    }
    let (low, high) = accuracy.interval();
    let [share, low, high] = [accuracy.share(), low, high].map(|share| share * 100.0);
    writeln!(page, "| {name} | {} | {share:.1} % | {low:.1} to {high:.1} % |", accuracy.all)
}
