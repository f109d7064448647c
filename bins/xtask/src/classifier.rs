//! `cargo xtask train` and `cargo xtask eval`: trains and evaluates the model of the local
//! classifier.
//!
//! Both build and run the program `local-model` of this package with optimization; a debug build
//! trains too slowly. The next build embeds a newly trained model, so `eval` judges it.

use anyhow::{Context, Result, ensure};

use crate::step::{cargo, execute, step};

const RUN: [&str; 8] =
    ["run", "--release", "--package", "xtask", "--features", "classifier", "--bin", "local-model"];

/// Trains the model and writes its file.
pub(crate) fn train(arguments: &[String]) -> Result<()> {
    step("train", || execute(cargo().args(RUN).args(["--", "train"]).args(arguments)))
}

/// Evaluates the model, prints the report and writes it to the document.
pub(crate) fn eval() -> Result<()> {
    let output = cargo().args(RUN).args(["--", "eval"]).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the evaluation failed");
    let page = String::from_utf8(output.stdout).context("the evaluation is not text")?;
    print!("{page}");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evaluation.md");
    std::fs::write(kept, page).with_context(|| format!("cannot write {kept}"))
}
