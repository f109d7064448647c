//! `cargo xtask bench`: the criterion benches with the servers that some of them need.

use anyhow::Result;

use crate::setup;
use crate::step::{cargo, execute, step};

/// Runs set-up, then `cargo bench` with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    step("bench", || execute(cargo().args(["bench", "--package", "picarcade-benches"]).args(arguments)))
}
