//! `cargo xtask train` and `cargo xtask eval`: the local classifier's model, made and judged.
//!
//! Both build and run the program `local-model` of this package, optimised: training in a debug build takes longer than
//! anybody waits. A model that was trained anew is part of the binary after the next build, so `eval` judges it.

use anyhow::{Context, Result, ensure};

use crate::step::{cargo, execute, step};

const RUN: [&str; 8] =
    ["run", "--release", "--package", "xtask", "--features", "classifier", "--bin", "local-model"];

/// Trains and writes the model file.
pub(crate) fn train(arguments: &[String]) -> Result<()> {
    step("train", || execute(cargo().args(RUN).args(["--", "train"]).args(arguments)))
}

/// Judges the model, prints the page and keeps it as the last report.
pub(crate) fn eval() -> Result<()> {
    let output = cargo().args(RUN).args(["--", "eval"]).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the evaluation failed");
    let page = String::from_utf8(output.stdout).context("the evaluation is not text")?;
    print!("{page}");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evaluation.md");
    std::fs::write(kept, page).with_context(|| format!("cannot write {kept}"))
}
