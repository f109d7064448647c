//! `cargo xtask load`: the service under load, as a user would see it.
//!
//! Builds the service and the program `load` of this package with optimization, and runs it. The
//! program starts the servers, the service and a mock AI, drives them, and prints a table. It
//! judges no figure, because other load on the machine would make it fail without a reason.

use std::process::Command;

use anyhow::Result;

use crate::metadata::Metadata;
use crate::setup;
use crate::step::{cargo, execute, step};

/// One build, so that both share their dependencies.
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

/// Builds both programs and runs the load generator with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    step("build", || execute(cargo().args(BUILD)))?;
    let program = Metadata::read()?.target_directory.join("release").join("load");
    step("load", || execute(Command::new(program).args(arguments)))
}
