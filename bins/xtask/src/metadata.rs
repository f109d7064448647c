//! The part of `cargo metadata` that the checks need.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::step::{cargo, read};

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
    workspace_members: HashSet<String>,
    resolve: Resolve,
}

/// The dependencies as cargo resolved them.
#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Resolved>,
}

#[derive(Debug, Deserialize)]
struct Resolved {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// One package, of the workspace or external.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) rust_version: Option<String>,
    pub(crate) documentation: Option<String>,
    pub(crate) keywords: Vec<String>,
    pub(crate) categories: Vec<String>,
    publish: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or `None`.
    pub(crate) kind: Option<String>,
    pub(crate) optional: bool,
    pub(crate) uses_default_features: bool,
    pub(crate) features: Vec<String>,
}

impl Dependency {
    /// Returns whether only tests, examples and benches use it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Metadata {
    /// Runs `cargo metadata` for this platform.
    pub(crate) fn read() -> Result<Self> {
        let version = read(Command::new("rustc").arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--all-features"]);
        command.args(host.into_iter().flat_map(|host| ["--filter-platform", host]));
        let text = read(&mut command)?;
        serde_json::from_str(&text).context("`cargo metadata` has changed its form")
    }

    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Returns the libraries that are published to a registry.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Package> {
        self.ours()
            .filter(|package| package.is_published() && package.directory().join("src/lib.rs").exists())
    }

    /// Returns all packages that a package needs to build, directly or not.
    pub(crate) fn needed_by(&self, package: &Package) -> Vec<&Package> {
        let mut needed = vec![&package.id];
        let mut next = 0;
        while let Some(id) = needed.get(next) {
            next += 1;
            let node = self.resolve.nodes.iter().find(|node| node.id == **id);
            for it in node.iter().flat_map(|node| &node.deps) {
                let only_tests = it.dep_kinds.iter().all(|kind| kind.kind.as_deref() == Some("dev"));
                if !only_tests && !needed.contains(&&it.pkg) {
                    needed.push(&it.pkg);
                }
            }
        }
        self.packages.iter().filter(|it| it.id != package.id && needed.contains(&&it.id)).collect()
    }
}

impl Package {
    /// Returns the directory of the manifest.
    pub(crate) fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// Returns whether the package is published to a registry.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }
}
