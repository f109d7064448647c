//! `cargo xtask ci`: every check except the tests. Fast checks come first.

use anyhow::{Result, bail};

use crate::check::{api, circles, documents, features, house, language, layers, licences, packages};
use crate::metadata::Metadata;
use crate::setup;
use crate::step::{cargo, execute, step};

type Check = (&'static str, fn() -> Result<()>);

const CHECKS: [Check; 12] = [
    ("house", house::check),
    ("language", language::check),
    ("documents", documents::check),
    ("layers", || layers::check(&Metadata::read()?)),
    ("circles", || circles::check(&Metadata::read()?)),
    ("licences", || licences::check(&Metadata::read()?)),
    ("format", format),
    ("clippy", clippy),
    ("features", || features::check(&Metadata::read()?)),
    ("docs", docs),
    ("api", || api::check(&Metadata::read()?)),
    ("packages", || packages::check(&Metadata::read()?)),
];

/// Runs all checks, or the named ones. The last line names the failed ones.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| CHECKS.iter().all(|(check, _)| check != name)) {
        let known: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
        bail!("there is no check {unknown:?}; there are {}", known.join(", "));
    }
    setup::run()?;
    step("components", setup::components)?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if !(names.is_empty() || names.iter().any(|wanted| wanted == name)) {
            continue;
        }
        // One run reports all failures.
        if let Err(error) = step(name, check) {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed at: {}", failed.join(", "));
    }
    println!("All checks passed.");
    Ok(())
}

fn format() -> Result<()> {
    execute(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let scope = ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet"];
    execute(cargo().args(scope).args(["--", "-D", "warnings"]))
}

fn docs() -> Result<()> {
    let scope = ["doc", "--workspace", "--no-deps", "--all-features", "--quiet"];
    execute(cargo().args(scope).env("RUSTDOCFLAGS", "-D warnings"))
}
