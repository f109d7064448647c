//! Every published crate builds with no feature, with each alone, and with all. The check finds a
//! feature that needs another one without declaring it.
//!
//! Only the library is checked, without linking, by clippy, which denies warnings for the code of
//! the project and shares the compiled dependencies with the other steps. Equal combinations are
//! checked once.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::metadata::{Metadata, Package};
use crate::step::{cargo, execute, report};

/// Fails with one line for each combination that does not build, after all were tried.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let published: Vec<&Package> = metadata.libraries().collect();
    if published.is_empty() {
        bail!("no crate is published, which cannot be");
    }
    let mut faults = Vec::new();
    for package in published {
        for set in combinations(package) {
            let features = set.iter().copied().collect::<Vec<_>>().join(",");
            println!("   {} [{features}]", package.name);
            let mut command = cargo();
            command.args(["clippy", "--lib", "--no-default-features", "--quiet", "--package"]);
            command.args([package.name.as_str(), "--features", features.as_str(), "--", "-D", "warnings"]);
            if let Err(error) = execute(&mut command) {
                faults.push(format!("{} with [{features}]: {error:#}", package.name));
            }
        }
    }
    report(faults)
}

/// Returns the combinations none, each and all; as sets, so that a crate with one feature has two.
fn combinations(package: &Package) -> BTreeSet<BTreeSet<&str>> {
    let names = || package.features.keys().map(String::as_str).filter(|name| *name != "default");
    let mut sets: BTreeSet<BTreeSet<&str>> = names().map(|name| BTreeSet::from([name])).collect();
    sets.insert(BTreeSet::new());
    sets.insert(names().collect());
    sets
}
