//! The commands that build a program with optimization and run it: benches, the load generator, and
//! the trainer of the local classifier.

use std::process::Command;

use anyhow::Result;

use crate::metadata::Metadata;
use crate::setup;
use crate::step::{cargo, execute, step};

/// `cargo xtask bench`: runs the criterion benches, with the servers that some of them need.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    setup::run()?;
    step("bench", || execute(cargo().args(["bench", "--package", "picarcade-benches"]).args(arguments)))
}

/// `cargo xtask load`: the service under load, as a user would see it.
///
/// The program `load` starts the servers, the service and a mock AI, drives them, and prints a
/// table. It judges no figure, because other load on the machine would make it fail without a
/// reason.
pub(crate) fn load(arguments: &[String]) -> Result<()> {
    setup::run()?;
    // One build, so that both share their dependencies.
    let mut build = cargo();
    build.args(["build", "--release", "--bins", "--package", "picarcade", "--package", "xtask"]);
    step("build", || execute(build.args(["--features", "xtask/load"])))?;
    let program = Metadata::read()?.target_directory.join("release").join("load");
    step("load", || execute(Command::new(program).args(arguments)))
}

/// `cargo xtask eval`: evaluates the shipped models on files of labeled prompts, by default on the
/// sets of the project, and prints the report.
pub(crate) fn eval(files: &[String]) -> Result<()> {
    step("eval", || execute(local_model("eval").args(files)))
}

/// Returns the program `local-model` of this package; a debug build trains too slowly.
pub(crate) fn local_model(command: &str) -> Command {
    let mut run = cargo();
    run.args(["run", "--release", "--package", "xtask", "--features", "classifier"]);
    run.args(["--bin", "local-model", "--", command]);
    run
}
