//! The public interface of every published library, as text in `docs/api`. A change of the
//! interface is then a change of a file, which a reviewer sees.
//!
//! The text comes from the JSON of rustdoc, which the stable compiler writes only with
//! `RUSTC_BOOTSTRAP`. Derived and automatic implementations are left out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::metadata::{Metadata, Package};
use crate::step::{cargo, execute, report, root};

/// Fails with the differences between the files and the code.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let mut faults = Vec::new();
    for package in metadata.libraries().filter(|package| !is_macro(package)) {
        let written = fs::read_to_string(file(package)).unwrap_or_default();
        let current = public_interface(metadata, package)?;
        let added = current.lines().filter(|line| !written.lines().any(|it| it == *line));
        faults.extend(added.map(|line| format!("+ {line}")));
        let removed = written.lines().filter(|line| !current.lines().any(|it| it == *line));
        faults.extend(removed.map(|line| format!("- {line}")));
    }
    if !faults.is_empty() {
        faults.push("`cargo xtask api` writes docs/api again".to_owned());
    }
    report(faults)
}

/// Writes the files.
pub(crate) fn write() -> Result<()> {
    let metadata = Metadata::read()?;
    for package in metadata.libraries().filter(|package| !is_macro(package)) {
        let text = public_interface(&metadata, package)?;
        fs::create_dir_all(root().join("docs/api"))?;
        fs::write(file(package), text).with_context(|| format!("cannot write {}", package.name))?;
    }
    Ok(())
}

fn file(package: &Package) -> PathBuf {
    root().join("docs/api").join(format!("{}.txt", package.name))
}

/// A library of macros exports nothing else.
fn is_macro(package: &Package) -> bool {
    package.name.ends_with("-macros")
}

/// Set where cargo runs this program in the place of rustdoc.
pub(crate) const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

/// Runs rustdoc with `RUSTC_BOOTSTRAP`. Cargo itself must run without it, because it would build
/// every dependency again whose build script reads the variable.
pub(crate) fn rustdoc() -> Result<()> {
    execute(Command::new("rustdoc").args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1"))
}

fn public_interface(metadata: &Metadata, package: &Package) -> Result<String> {
    let mut rustdoc = cargo();
    rustdoc.args(["rustdoc", "--lib", "--all-features", "--quiet", "--package", &package.name]);
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    execute(rustdoc.env("RUSTDOC", std::env::current_exe()?).env(AS_RUSTDOC, "1"))?;
    let json = metadata.target_directory.join("doc").join(format!("{}.json", package.name.replace('-', "_")));
    Ok(public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?
        .to_string())
}
