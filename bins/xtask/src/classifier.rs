//! `cargo xtask train` and `cargo xtask eval`: trains and evaluates the models of the local
//! classifier.
//!
//! Both build and run the program `local-model` of this package with optimization; a debug build
//! trains too slowly. The next build embeds a newly trained model, so `eval` judges it.
//!
//! The encoder is trained in Python, because no Rust crate differentiates a transformer as well.
//! `train encoder` makes the Python environment itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::step::{cargo, execute, step};

const RUN: [&str; 8] =
    ["run", "--release", "--package", "xtask", "--features", "classifier", "--bin", "local-model"];

/// Trains the linear model, or the encoder, and writes its file.
pub(crate) fn train(arguments: &[String]) -> Result<()> {
    match arguments {
        [first, labeled, more @ ..] if first == "encoder" => train_encoder(labeled, more),
        [first] if first == "encoder" => bail!("expected train encoder LABELED.jsonl [MORE.jsonl…]"),
        _ => step("train", || execute(cargo().args(RUN).args(["--", "train"]).args(arguments))),
    }
}

/// Trains the encoder on generated examples, on a part of the labeled prompts, and on all prompts
/// of the other files. The labeled prompts are split by source; `report.jsonl` in
/// `target/encoder/` is the part that nothing saw.
fn train_encoder(labeled: &str, more: &[String]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scripts = root.join("crates/picarcade-intent/encoder");
    let work = root.join("target/encoder");
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
    let generated = work.join("generated.jsonl");
    local_model("examples", &[generated.as_os_str()])?;
    let normalized = |from: &Path| -> Result<PathBuf> {
        let name = from.file_stem().context("a labeled file has a name")?;
        let to = work.join(name).with_extension("normalized.jsonl");
        local_model("normalize", &[from.as_os_str(), to.as_os_str()])?;
        Ok(to)
    };
    // Real prompts count twice and those of the project three times, against 30,000 generated ones.
    let mut files = vec![with_repeats(&normalized(&work.join("train.jsonl"))?, 2)];
    files.push(with_repeats(&scripts.join("../corpus/judge-dev.csv"), 3));
    for file in more {
        files.push(with_repeats(&normalized(Path::new(file))?, 1));
    }
    let calibrate = normalized(&work.join("tune.jsonl"))?;
    step("train the encoder", || {
        execute(
            Command::new(&python)
                .arg(scripts.join("train.py"))
                .arg("--generated")
                .arg(&generated)
                .arg("--labeled")
                .args(&files)
                .arg("--calibrate")
                .arg(&calibrate)
                .arg("--output")
                .arg(root.join("bins/picarcade/data/encoder-1.bin")),
        )
    })
}

fn with_repeats(file: &Path, times: u32) -> String {
    format!("{}:{times}", file.display())
}

fn local_model(command: &str, arguments: &[&OsStr]) -> Result<()> {
    step(command, || execute(cargo().args(RUN).args(["--", command]).args(arguments)))
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
