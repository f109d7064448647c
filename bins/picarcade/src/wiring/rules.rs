//! The decision matrix and the model catalogue, from configured files or embedded.

use std::path::Path;
use std::sync::Arc;

use picarcade_flow::Rules;
use picarcade_intent::{Catalogue, Matrix, Problem, Severity};

use super::encoder::encoder;
use super::error::WiringError;
use crate::config::Config;

/// Returns the configured matrix and catalogue, or the embedded ones.
pub(crate) fn rules(config: &Config) -> Result<Rules, WiringError> {
    let catalogue = catalogue(config)?;
    let matrix = match &config.rules {
        None => Matrix::embedded(),
        Some(file) => Arc::new(
            Matrix::parse(&read(file)?, &catalogue).map_err(|problems| first_problem(file, &problems))?,
        ),
    };
    Ok(Rules::new(matrix, catalogue))
}

/// Returns the configured rules with the encoder, for callers that classify. The first call takes
/// some 30 ms to read the weights.
pub(crate) fn rules_with_encoder(config: &Config) -> Result<Rules, WiringError> {
    let rules = rules(config)?;
    Ok(match encoder() {
        Some(encoder) => rules.with_encoder(encoder),
        None => rules,
    })
}

/// Returns the configured catalogue, or the embedded one.
pub(crate) fn catalogue(config: &Config) -> Result<Arc<Catalogue>, WiringError> {
    let Some(file) = &config.models else { return Ok(Catalogue::embedded()) };
    let bytes = read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| WiringError::File {
        file: file.display().to_string(),
        reason: "is not UTF-8".to_owned(),
    })?;
    Ok(Arc::new(Catalogue::parse(text).map_err(|problems| first_problem(file, &problems))?))
}

fn read(file: &Path) -> Result<Vec<u8>, WiringError> {
    std::fs::read(file)
        .map_err(|error| WiringError::File { file: file.display().to_string(), reason: error.to_string() })
}

/// Returns the error for the first problem of a file. `rules check` and `examples
/// check` list the others.
pub(super) fn first_problem(file: &Path, problems: &[Problem]) -> WiringError {
    let first = problems.iter().find(|problem| problem.severity == Severity::Error).or(problems.first());
    let reason = first.map_or_else(|| "is not usable".to_owned(), ToString::to_string);
    WiringError::File { file: file.display().to_string(), reason }
}
