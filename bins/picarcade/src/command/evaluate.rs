//! `picarcade evaluate`: how often the classifier without an AI is right on a labeled file.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use picarcade_intent::evaluation::{evaluate, read_labeled, report};

use crate::cli::EvaluateArguments;
use crate::command::{Failure, load_without_ai};
use crate::wiring;

/// Prints the report about a file of labeled prompts, under the configured rules and prices.
pub(crate) fn run(arguments: &EvaluateArguments) -> Result<ExitCode, Failure> {
    let file: &Path = &arguments.file;
    let config = load_without_ai(arguments.config.config.as_deref())?;
    let rules = wiring::rules_with_examples(&config).map_err(|error| Failure::wiring(&config, &error))?;
    let labeled = read_labeled(file).map_err(|error| Failure::usage(error.to_string()))?;
    let evaluation = evaluate(rules.classifier(), &labeled);
    let mut out = std::io::stdout().lock();
    if arguments.errors {
        for judgment in evaluation.judgments.iter().filter(|judgment| !judgment.right()) {
            let wanted = judgment.wanted.map_or("no request", |wanted| wanted.as_str());
            let prompt = judgment.labeled.prompt.as_str();
            let _ = writeln!(out, "{:.2} {} not {wanted}: {prompt:?}", judgment.confidence, judgment.found);
        }
    }
    out.write_all(report(&evaluation).as_bytes()).map_err(|error| Failure::work(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
