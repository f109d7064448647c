//! The published packages: what a registry shows of them, which Rust they need, and what they
//! contain.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use crate::metadata::{Metadata, Package};
use crate::step::{cargo, execute, read, report, root};

/// The largest compressed package, in KiB. That of the intent crate includes the weights of the
/// local classifier.
const MAX_KIB: u64 = 256;
const MAX_KIB_WITH_WEIGHTS: u64 = 2560;

/// Fails with one line for each fault.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let libraries: Vec<&Package> = metadata.libraries().collect();
    let licence = fs::read_to_string(root().join("LICENSE")).context("LICENSE is missing")?;
    let mut faults = BTreeSet::new();
    for package in &libraries {
        let mut fault = |text: String| faults.insert(format!("{}: {text}", package.name));
        if package.keywords.is_empty() || package.categories.is_empty() || package.documentation.is_none() {
            fault("keywords, categories or documentation are missing in Cargo.toml".to_owned());
        }
        if fs::read_to_string(package.directory().join("LICENSE")).ok().as_ref() != Some(&licence) {
            fault("its LICENSE is not a copy of the project's".to_owned());
        }
        let rust_version = package.rust_version.as_deref().unwrap_or_default();
        let readme = fs::read_to_string(package.directory().join("README.md")).unwrap_or_default();
        if !readme.contains(&format!("Rust {rust_version} or later")) {
            fault(format!("its README does not say \"Rust {rust_version} or later\""));
        }
        for it in metadata.needed_by(package) {
            let needs = it.rust_version.as_deref().unwrap_or_default();
            if numbers(needs) > numbers(rust_version) {
                fault(format!("its rust-version is {rust_version}, and {} needs {needs}", it.name));
            }
        }
        let files = read(cargo().args(["package", "--list", "--allow-dirty", "--package", &package.name]))?;
        for file in included(package)?.difference(&files.lines().map(str::to_owned).collect()) {
            fault(format!("its code includes {file}, which is not in the package"));
        }
    }
    report(faults)?;
    package_all(metadata, &libraries)
}

/// Returns the first two numbers of a version. Patches of a compiler add nothing.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').take(2).filter_map(|part| part.parse().ok()).collect()
}

/// Returns the files outside of `src` that the code of a package includes.
fn included(package: &Package) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut places = vec![package.directory().join("src")];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).context("cannot read the sources")?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                places.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            for name in text.split("include_str!(\"").chain(text.split("include_bytes!(\"")).skip(1) {
                let target = place.join(name.split('"').next().unwrap_or_default());
                // Both macros split the text, so pieces without a file are expected.
                if let Ok(target) = target.canonicalize()
                    && target.is_file()
                    && let Ok(inside) = target.strip_prefix(package.directory())
                {
                    found.insert(inside.display().to_string());
                }
            }
        }
    }
    Ok(found)
}

/// Builds all packages as a registry gets them, and compares their sizes with the bound. The
/// feature check compiles the same sources, so they are not compiled again.
fn package_all(metadata: &Metadata, libraries: &[&Package]) -> Result<()> {
    let mut command = cargo();
    command.args(["package", "--no-verify", "--allow-dirty", "--quiet"]);
    command.args(libraries.iter().flat_map(|package| ["--package", &package.name]));
    execute(&mut command)?;
    let mut faults = Vec::new();
    for package in libraries {
        let file = format!("{}-{}.crate", package.name, package.version);
        let bytes = fs::metadata(metadata.target_directory.join("package").join(&file))?.len();
        let max = if package.name == "picarcade-intent" { MAX_KIB_WITH_WEIGHTS } else { MAX_KIB };
        println!("   {file}: {} KiB", bytes / 1024);
        if bytes > max * 1024 {
            faults.push(format!("{file} has {} KiB of {max}", bytes / 1024));
        }
    }
    report(faults)
}
