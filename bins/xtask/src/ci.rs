//! `cargo xtask ci`: everything beside the tests that must hold before a change goes in. Quick checks come first.

use anyhow::Result;

use crate::check::{features, house, layers, licences};
use crate::metadata::Metadata;
use crate::setup;
use crate::step::{cargo, execute, step};

/// All of them, in order; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    step("components", setup::components)?;
    step("house", house::check)?;
    let metadata = Metadata::read()?;
    step("layers", || layers::check(&metadata))?;
    step("licences", || licences::check(&metadata))?;
    step("format", || execute(cargo().args(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        let scope = ["clippy", "--workspace", "--all-targets", "--all-features"];
        execute(cargo().args(scope).args(["--quiet", "--", "-D", "warnings"]))
    })?;
    step("features", || features::check(&metadata))?;
    step("docs", || {
        let scope = ["doc", "--workspace", "--no-deps", "--all-features", "--quiet"];
        execute(cargo().args(scope).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    println!("All checks passed.");
    Ok(())
}
