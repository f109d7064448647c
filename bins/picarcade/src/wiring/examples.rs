//! The examples of the operator, from the configured file.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use picarcade_flow::Rules;
use picarcade_intent::evaluation::Format;
use picarcade_intent::examples::{ExampleList, Examples};
use picarcade_intent::{Matrix, Problem};

use super::encoder::encoder;
use super::error::WiringError;
use super::rules::{first_problem, rules_with_encoder};
use crate::config::Config;

/// The configured rules, and the examples that do not teach them yet.
pub(crate) struct Loaded {
    pub(crate) rules: Rules,
    pub(crate) examples: Option<ExampleList>,
}

/// Reads the configured rules and examples, which takes milliseconds.
pub(crate) fn load(config: &Config) -> Result<Loaded, WiringError> {
    let rules = rules_with_encoder(config)?;
    let read = |file: &std::path::PathBuf| {
        let parsed = read_examples(file, &rules.matrix).map_err(|error| WiringError::File {
            file: file.display().to_string(),
            reason: error.to_string(),
        })?;
        parsed.map_err(|problems| first_problem(file, &problems))
    };
    let examples = config.examples.as_ref().map(read).transpose()?;
    Ok(Loaded { rules, examples })
}

/// Returns the configured rules with the examples, for commands. It takes some milliseconds for
/// each example.
pub(crate) fn rules_with_examples(config: &Config) -> Result<Rules, WiringError> {
    let Loaded { rules, examples } = load(config)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let examples = examples.and_then(|list| teach(&list, threads, || true));
    Ok(rules.with_examples(examples))
}

/// Reads a file of examples, or every problem of it.
pub(crate) fn read_examples(
    file: &Path,
    matrix: &Matrix,
) -> std::io::Result<Result<ExampleList, Vec<Problem>>> {
    let mut bytes = Vec::new();
    // One byte more than the limit shows that the file is too large.
    File::open(file)?.take(ExampleList::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(ExampleList::parse(&bytes, Format::of(file), matrix))
}

/// Computes what the encoder needs of each example, some milliseconds for each.
///
/// Returns `None` as soon as `is_wanted` is false, and without an encoder.
pub(crate) fn teach(
    list: &ExampleList,
    threads: NonZeroUsize,
    is_wanted: impl Fn() -> bool + Sync,
) -> Option<Arc<Examples>> {
    Examples::new(list, &*encoder()?, threads, is_wanted).map(Arc::new)
}
