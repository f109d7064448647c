//! `picarcade examples check`: what is wrong with a file of examples, and what it changes.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use picarcade_intent::Classifier;
use picarcade_intent::evaluation::{Evaluation, Judgment, evaluate, read_labeled};

use crate::cli::ExamplesCheckArguments;
use crate::command::{Failure, load_without_ai};
use crate::wiring;

/// Prints every problem of the file, and what the examples change. Exits with 1 if one of the
/// problems is an error.
pub(crate) fn check(arguments: &ExamplesCheckArguments) -> Result<ExitCode, Failure> {
    let config = load_without_ai(arguments.config.config.as_deref())?;
    let rules = wiring::rules_with_encoder(&config).map_err(|error| Failure::wiring(&config, &error))?;
    let (path, shown) = (&arguments.file, arguments.file.display());
    let parsed = wiring::read_examples(path, &rules.matrix)
        .map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    // A wrong evaluation file must not cost the minutes that follow.
    let labeled = arguments.evaluate.as_deref().map(read_labeled).transpose();
    let labeled = labeled.map_err(|error| Failure::usage(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    let problems = parsed.as_ref().map_or_else(Vec::as_slice, |list| list.warnings());
    for problem in problems {
        let _ = writeln!(out, "{shown}: {problem}");
    }
    let Ok(list) = parsed else { return Ok(ExitCode::from(1)) };
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let examples = wiring::teach(&list, threads, || true)
        .ok_or_else(|| Failure::work("examples need the encoder, whose weights cannot be read"))?;
    // At most a hundred: a person reads them.
    for conflict in examples.conflicts(&rules.matrix) {
        let (first, second, similarity) = (conflict.first, conflict.second, conflict.similarity);
        let _ = writeln!(
            out,
            "{shown}: line {second}, column prompt, warning: nearly the words of line {first} (similarity \
             {similarity:.2}) with another label; between the two, neither decides"
        );
    }
    let before = evaluate(rules.classifier(), list.examples()).accuracy(|_| true);
    let (number, version) = (list.examples().len(), list.version());
    let _ = writeln!(
        out,
        "{shown}: the classifier is right about {} of {number} examples without them",
        before.right
    );
    if let (Some(file), Some(labeled)) = (&arguments.evaluate, labeled) {
        let before = evaluate(rules.classifier(), &labeled);
        let taught = rules.classifier().clone().with_examples(Some(Arc::clone(&examples)));
        let after = evaluate(&taught, &labeled);
        let _ = write_effects(&mut out, file, (&before, &after), &taught);
    }
    let _ = writeln!(out, "{shown}: {number} examples, version {version}, good");
    Ok(ExitCode::SUCCESS)
}

/// Prints every answer that the examples change, and the accuracy before and after.
fn write_effects(
    out: &mut impl Write,
    file: &Path,
    (before, after): (&Evaluation, &Evaluation),
    taught: &Classifier,
) -> std::io::Result<()> {
    let shown = file.display();
    let answer = |judgment: &Judgment| if judgment.unclear { "no request" } else { judgment.found.as_str() };
    let [mut better, mut worse, mut neither] = [0; 3];
    for (old, new) in before.judgments.iter().zip(&after.judgments) {
        if answer(old) == answer(new) {
            continue;
        }
        let (effect, count) = match (old.right(), new.right()) {
            (false, true) => ("better", &mut better),
            (true, false) => ("worse", &mut worse),
            _ => ("neither better nor worse", &mut neither),
        };
        *count += 1;
        let wanted = new.wanted.map_or("no request", |wanted| wanted.as_str());
        let example = taught.read(&new.request()).example().map_or(0, |example| example.line);
        writeln!(
            out,
            "{shown}: line {}, {effect}: {} becomes {} by the example in line {example}, right is {wanted}",
            new.labeled.line,
            answer(old),
            answer(new),
        )?;
    }
    let right = |evaluation: &Evaluation| evaluation.accuracy(|_| true).right;
    writeln!(
        out,
        "{shown}: {} of {} right without the examples, {} with them; {better} better, {worse} worse, {neither} \
         neither",
        right(before),
        before.judgments.len(),
        right(after),
    )
}
