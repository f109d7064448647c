//! `cargo xtask eval`: judges the local classifier on sets of prompts that it has not seen, and prints the page of
//! `docs/evaluation.md`; `cargo xtask eval train` makes its model anew.

use anyhow::Result;

use crate::step::{cargo, execute};

/// Runs the intent crate's own program; without arguments it evaluates. No step lines around it, for its output is a document.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "picarcade-intent", "--features", "train"]);
    command.args(["--example", "local_model", "--"]);
    if arguments.is_empty() {
        command.arg("eval");
    }
    execute(command.args(arguments))
}
