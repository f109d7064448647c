//! `cargo xtask load`: the service under load, as a user of it would see it.
//!
//! Builds the service and the program `load` of this package, both optimised, and runs it: it starts the servers, the
//! service and a mock AI, drives them, and prints a table. Nothing is judged here: a machine under other load would turn
//! it red for no reason.

use std::process::Command;

use anyhow::Result;

use crate::metadata::Metadata;
use crate::setup;
use crate::step::{cargo, execute, step};

/// Both in one build, so that they share their dependencies.
const BUILD: [&str; 9] = [
    "build",
    "--release",
    "--package",
    "picarcade",
    "--package",
    "xtask",
    "--features",
    "xtask/load",
    "--bins",
];

/// Builds, and runs with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    step("build", || execute(cargo().args(BUILD)))?;
    let program = Metadata::read()?.target_directory.join("release").join("load");
    step("load", || execute(Command::new(program).args(arguments)))
}
