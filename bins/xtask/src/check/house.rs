//! The top level contains only known entries, and every file states its purpose.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{read, report, root};

/// Everything that the top level may contain in addition to dotfiles.
const TOP: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "crates", "bins", "examples", "benches", "docs"];

/// Fails with one line for each misplaced file.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let files = files(&root)?;
    let mut faults = strangers(&files);
    for file in files.iter().filter(|file| is_source(file)) {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        if !says_what_it_is(&text) {
            faults.insert(format!("{} does not open with `//!`", file.display()));
        }
    }
    for place in ["crates", "bins"] {
        for package in fs::read_dir(root.join(place)).context("cannot read the house")?.flatten() {
            let readme = package.path().join("README.md");
            if place == "crates" && package.path().join("Cargo.toml").exists() && !readme.exists() {
                faults.insert(format!(
                    "{} is missing",
                    readme.strip_prefix(&root).unwrap_or(&readme).display()
                ));
            }
        }
    }
    report(faults)
}

/// Returns the files that git tracks or would track; in a tree without git, everything except build
/// outputs.
pub(super) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    if let Ok(list) = read(&mut git) {
        let files = list.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
        // A deleted file that is not committed yet is still listed.
        return Ok(files.filter(|file| root.join(file).exists()).collect());
    }
    let mut found = Vec::new();
    let mut places = vec![root.to_owned()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).context("cannot read the house")?.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != "picarcade-data" && name != ".git" {
                places.push(path);
            } else if path.is_file() {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
            }
        }
    }
    Ok(found)
}

fn strangers(files: &[PathBuf]) -> BTreeSet<String> {
    files
        .iter()
        .filter_map(|file| file.iter().next()?.to_str())
        .filter(|name| !name.starts_with('.') && !TOP.contains(name))
        .map(|name| format!("{name} does not belong at the top level"))
        .collect()
}

fn is_source(file: &Path) -> bool {
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let is_test = file.iter().any(|part| part == "tests");
    is_rust && !is_test
}

/// The root of a crate may include its README.
fn says_what_it_is(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("//!") || text.starts_with("#![doc = include_str!")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{is_source, says_what_it_is, strangers};

    #[test]
    fn the_top_level_is_closed() {
        let files =
            ["README.md", ".ci/run", "crates/a/src/lib.rs", "notes.txt", "tools/x.sh"].map(PathBuf::from);
        let faults: Vec<_> = strangers(&files).into_iter().collect();
        assert_eq!(
            faults,
            ["notes.txt does not belong at the top level", "tools does not belong at the top level"]
        );
    }

    #[test]
    fn sources_say_what_they_are() {
        assert!(is_source("crates/a/src/b.rs".as_ref()) && is_source("benches/x.rs".as_ref()));
        assert!(!is_source("crates/a/tests/it/b.rs".as_ref()) && !is_source("README.md".as_ref()));
        assert!(says_what_it_is("//! A.\n") && says_what_it_is("#![doc = include_str!(\"../README.md\")]\n"));
        assert!(!says_what_it_is("use std::fs;\n//! Late.\n") && !says_what_it_is(""));
    }
}
