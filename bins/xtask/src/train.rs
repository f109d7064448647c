//! `cargo xtask train`: trains both stages of the local classifier.
//!
//! The linear model is trained by the program `local-model`. The encoder is trained in Python,
//! because no Rust crate differentiates a transformer as well. This command makes the Python
//! environment and runs the scripts in their order.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::programs::local_model;
use crate::step::{execute, root, step};

/// Trains on generated examples, on a part of the labeled prompts, and on all prompts of the other
/// files, whose sources must not be in the first. The labeled prompts are split by source;
/// `report.jsonl` in `target/encoder/` is the part that nothing saw.
pub(crate) fn train(files: &[String]) -> Result<()> {
    let [labeled, more @ ..] = files else { bail!("expected train LABELED.jsonl [MORE.jsonl…]") };
    let scripts = root().join("crates/picarcade-intent/encoder");
    let work = root().join("target/encoder");
    std::fs::create_dir_all(&work)?;
    let python = work.join("python/bin/python");
    step("make the Python environment", || {
        execute(Command::new("python3").args(["-m", "venv"]).arg(work.join("python")))?;
        let requirements = scripts.join("requirements.txt");
        execute(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))
    })?;
    step("split the labeled prompts by source", || {
        execute(Command::new(&python).arg(scripts.join("split.py")).arg(labeled).arg(&work))
    })?;
    let [learn, calibrate] = ["train", "tune"].map(|part| work.join(part).with_extension("jsonl"));
    let linear = root().join("crates/picarcade-intent/data/local-1.bin");
    let more: Vec<&Path> = more.iter().map(Path::new).collect();
    let sets =
        [linear.as_path(), &learn].into_iter().chain(more.iter().copied()).chain([calibrate.as_path()]);
    run("train", &sets.map(Path::as_os_str).collect::<Vec<_>>())?;
    let generated = work.join("generated.jsonl");
    run("examples", &[generated.as_os_str()])?;
    // Prompts of people count twice and those of the project three times, against 30,000 generated
    // ones.
    let mut files =
        vec![repeated(&normalize(&learn, &work)?, 2), repeated(&scripts.join("../corpus/judge-dev.csv"), 3)];
    for file in more {
        files.push(repeated(&normalize(file, &work)?, 2));
    }
    let calibrate = normalize(&calibrate, &work)?;
    let mut training = Command::new(&python);
    training.arg(scripts.join("train.py")).arg("--generated").arg(&generated);
    training.arg("--labeled").args(&files).arg("--calibrate").arg(&calibrate);
    training.arg("--output").arg(root().join("bins/picarcade/data/encoder-1.bin"));
    step("train the encoder", || execute(&mut training))
}

/// Writes the prompts of a file as the classifier reads them, and returns the new file.
fn normalize(from: &Path, directory: &Path) -> Result<PathBuf> {
    let name = from.file_stem().context("a labeled file has a name")?;
    let to = directory.join(name).with_extension("normalized.jsonl");
    run("normalize", &[from.as_os_str(), to.as_os_str()])?;
    Ok(to)
}

fn repeated(file: &Path, times: u32) -> String {
    format!("{}:{times}", file.display())
}

fn run(command: &str, arguments: &[&OsStr]) -> Result<()> {
    step(command, || execute(local_model(command).args(arguments)))
}
