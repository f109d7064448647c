//! `cargo xtask test`: every test of every crate, with real servers.

use anyhow::Result;

use crate::setup;
use crate::step::{cargo, execute, step};

/// Runs set-up, then `cargo test`. If the arguments name a package, only that package is tested.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    let names_package =
        options.any(|argument| argument.starts_with("-p") || argument.starts_with("--package"));
    let mut command = cargo();
    command.args(["test", "--all-features"]);
    if !names_package {
        command.arg("--workspace");
    }
    step("test", || execute(command.args(arguments)))?;
    println!("All tests passed.");
    Ok(())
}
