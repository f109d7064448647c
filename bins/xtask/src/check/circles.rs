//! No two files of a crate import each other, directly or through others.
//!
//! Files in a circle cannot be read one after the other: each needs the others to be understood.
//! The check reads every `use` and every `crate::`, `self::` and `super::` path outside of tests,
//! follows names through `pub use` to the file that defines them, and reports each set of files
//! that reach each other.
//!
//! There is one exception. An import of a file named `builder.rs` does not count, because a handle
//! names its builder and the builder creates the handle.
//!
//! The check does not see paths inside macro calls, nor methods that are called without a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::visit::Visit;
use syn::{Attribute, Ident, Item, UseTree};

use crate::metadata::{Metadata, Package};
use crate::step::report;

/// How many re-exports are followed to the definition of one name.
const MAX_HOPS: usize = 16;

/// The names of a module path, from the root of the crate.
type Names = Vec<String>;

/// Fails with one line for each circle.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let mut faults = Vec::new();
    for package in metadata.ours() {
        for root in ["lib.rs", "main.rs"] {
            let root = package.manifest_path.with_file_name("src").join(root);
            if root.is_file() {
                faults.extend(circles_of(package, &root)?);
            }
        }
    }
    report(faults)
}

fn circles_of(package: &Package, root: &Path) -> Result<Vec<String>> {
    let mut tree = Tree::default();
    tree.read_file(root, Vec::new(), true)?;
    let source = root.parent().unwrap_or(root);
    let imports = tree.imports();
    let shown = |file: &PathBuf| file.strip_prefix(source).unwrap_or(file).display().to_string();
    Ok(circles(&imports)
        .into_iter()
        .map(|circle| {
            let arrows = circle.iter().flat_map(|from| {
                let targets = imports.get(from).into_iter().flatten();
                let inside = targets.filter(|(to, _)| circle.contains(*to));
                inside.map(move |(to, names)| (from, to, names))
            });
            let arrows: Vec<_> = arrows
                .map(|(from, to, names)| {
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    format!("\n    {} takes {} from {}", shown(from), names.join(", "), shown(to))
                })
                .collect();
            format!("{}: {} files import each other:{}", package.name, circle.len(), arrows.concat())
        })
        .collect())
}

/// For each file, the files that it imports from, and the imported names.
type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// The sets of two or more files that reach each other.
fn circles(imports: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        imports.keys().map(|file| (file, reachable(imports, file))).collect();
    let reaches = |from: &PathBuf, to: &PathBuf| reached.get(from).is_some_and(|set| set.contains(to));
    let mut found = BTreeSet::new();
    for file in imports.keys().filter(|file| reaches(file, file)) {
        found.insert(
            imports.keys().filter(|other| reaches(file, other) && reaches(other, file)).cloned().collect(),
        );
    }
    found.into_iter().collect()
}

fn reachable<'a>(imports: &'a Imports, from: &PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&PathBuf> = imports.get(from).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(imports.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

/// The modules of one crate.
#[derive(Debug, Default)]
struct Tree {
    modules: BTreeMap<Names, Module>,
}

/// One module: where it stands, what it binds, and which paths it names.
#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    /// Names that a `use` binds here, and the path that each stands for.
    bound: BTreeMap<String, Names>,
    /// Paths of `use …::*`.
    globs: Vec<Names>,
    /// Names that are defined here.
    defined: BTreeSet<String>,
    /// Every path that this module names.
    named: Vec<Names>,
}

impl Tree {
    /// Reads the file of a module and the files of the modules below it.
    fn read_file(&mut self, file: &Path, names: Names, is_root: bool) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        let below = match file.file_stem() {
            Some(stem) if !is_root && stem != "mod" => file.with_extension(""),
            _ => file.parent().unwrap_or(file).to_owned(),
        };
        self.read_items(&parsed.items, file, &below, names)
    }

    fn read_items(&mut self, items: &[Item], file: &Path, below: &Path, names: Names) -> Result<()> {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items {
            let (attributes, name) = head(item);
            if is_for_tests(attributes) {
                continue;
            }
            match item {
                Item::Mod(child) => {
                    let child_name = child.ident.to_string();
                    let mut child_names = names.clone();
                    child_names.push(child_name.clone());
                    if let Some((_, items)) = &child.content {
                        self.read_items(items, file, &below.join(&child_name), child_names)?;
                    } else {
                        let flat = below.join(format!("{child_name}.rs"));
                        let nested = below.join(&child_name).join("mod.rs");
                        let path = if flat.is_file() { flat } else { nested };
                        self.read_file(&path, child_names, false)?;
                    }
                }
                Item::Use(item) => module.read_use(&item.tree, &mut Vec::new()),
                other => {
                    module.defined.extend(name.map(ToString::to_string));
                    Paths(&mut module.named).visit_item(other);
                }
            }
        }
        self.modules.insert(names, module);
        Ok(())
    }

    /// Every import between two files.
    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (names, module) in &self.modules {
            let targets = imports.entry(module.file.clone()).or_default();
            let paths = module.bound.values().chain(&module.globs).chain(&module.named);
            for path in paths {
                let Some(file) = self.file_of(names, path, MAX_HOPS) else { continue };
                if *file != module.file && file.file_stem().is_none_or(|stem| stem != "builder") {
                    let name = path.last().cloned().unwrap_or_default();
                    targets.entry(file.clone()).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// The file that defines what `path` means in the module `from`; `None` for other crates.
    fn file_of(&self, from: &[String], path: &[String], hops: usize) -> Option<&PathBuf> {
        let (module, rest) = self.start(from, path)?;
        self.walk(module, rest, hops)
    }

    /// The module in which a path begins, and the names that are left to look up.
    fn start<'a>(&self, from: &[String], path: &'a [String]) -> Option<(Names, &'a [String])> {
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.to_vec(),
            "super" => from.split_last()?.1.to_vec(),
            child => {
                let mut module = from.to_vec();
                module.push(child.to_owned());
                return self.modules.contains_key(&module).then_some((module, rest));
            }
        };
        while let Some((_, left)) = rest.split_first().filter(|(name, _)| *name == "super") {
            module.pop();
            rest = left;
        }
        Some((module, rest))
    }

    fn walk(&self, mut names: Names, mut rest: &[String], hops: usize) -> Option<&PathBuf> {
        loop {
            let module = self.modules.get(&names)?;
            let Some((name, left)) = rest.split_first() else { return Some(&module.file) };
            names.push(name.clone());
            if self.modules.contains_key(&names) {
                rest = left;
                continue;
            }
            names.pop();
            return self.look_up(&names, module, name, left, hops);
        }
    }

    /// The file of `name` in a module that has no child of that name.
    fn look_up(
        &self,
        names: &[String],
        module: &'_ Module,
        name: &str,
        left: &[String],
        hops: usize,
    ) -> Option<&PathBuf> {
        let here = &self.modules.get(names)?.file;
        let hops = hops.checked_sub(1)?;
        if module.defined.contains(name) {
            return Some(here);
        }
        if let Some(bound) = module.bound.get(name) {
            let whole: Names = bound.iter().chain(left).cloned().collect();
            // A re-export of another crate is defined elsewhere; the re-exporting file is the
            // nearest one.
            return Some(self.file_of(names, &whole, hops).unwrap_or(here));
        }
        for glob in &module.globs {
            let whole: Names = glob.iter().cloned().chain([name.to_owned()]).collect();
            if let Some(file) = self.file_of(names, &whole, hops).filter(|_| self.has(names, glob, name)) {
                return Some(file);
            }
        }
        Some(here)
    }

    /// Whether the module that `glob` names defines or binds `name`.
    fn has(&self, from: &[String], glob: &[String], name: &str) -> bool {
        let Some((mut names, rest)) = self.start(from, glob) else { return false };
        names.extend(rest.iter().cloned());
        let module = self.modules.get(&names);
        module.is_some_and(|module| module.defined.contains(name) || module.bound.contains_key(name))
    }
}

impl Module {
    fn read_use(&mut self, tree: &UseTree, prefix: &mut Names) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.read_use(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Name(name) => self.bind(&name.ident, &name.ident, prefix),
            UseTree::Rename(rename) => self.bind(&rename.ident, &rename.rename, prefix),
            UseTree::Glob(_) => self.globs.push(prefix.clone()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(tree, prefix);
                }
            }
        }
    }

    fn bind(&mut self, name: &Ident, bound: &Ident, prefix: &[String]) {
        let mut path = prefix.to_vec();
        // `use a::b::{self}` binds `b`.
        let bound = if name == "self" { path.last().cloned().unwrap_or_default() } else { bound.to_string() };
        if name != "self" {
            path.push(name.to_string());
        }
        self.bound.insert(bound, path);
    }
}

/// Collects the paths that begin in this crate.
struct Paths<'a>(&'a mut Vec<Names>);

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.first().is_some_and(|first| ["crate", "self", "super"].contains(&first.as_str()))
            && names.len() > 1
        {
            self.0.push(names);
        }
        syn::visit::visit_path(self, path);
    }

    // `pub(in crate::a)` is no import.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

/// Returns the attributes of an item and its name, if it has one.
fn head(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, Some(&item.ident)),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Whether an item is compiled for tests only: `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let text = list.tokens.to_string();
        !text.contains("not") && text.split(|sign: char| !sign.is_alphanumeric()).any(|word| word == "test")
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Tree, circles};

    /// A crate of files that do not exist: each is a module path, its file name and its text.
    fn circles_in(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut tree = Tree::default();
        for (names, text) in files {
            let items = syn::parse_file(text).unwrap().items;
            let path: Vec<_> = names.split("::").filter(|it| !it.is_empty()).map(str::to_owned).collect();
            let file = PathBuf::from(format!("{}.rs", path.last().map_or("lib", String::as_str)));
            tree.read_items(&items, &file, Path::new(""), path).unwrap();
        }
        let shown = |file: &PathBuf| file.display().to_string();
        circles(&tree.imports()).iter().map(|circle| circle.iter().map(shown).collect()).collect()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let files = [("", ""), ("a", "use crate::b::B; struct A;"), ("b", "struct B(crate::a::A);")];
        assert_eq!(circles_in(&files), [["a.rs", "b.rs"]]);
    }

    #[test]
    fn a_name_is_followed_through_re_exports() {
        let files = [
            ("", "pub use a::A; pub use b::*;"),
            ("a", "use crate::B; pub struct A;"),
            ("b", "use crate::A; pub struct B;"),
        ];
        assert_eq!(circles_in(&files), [["a.rs", "b.rs"]]);
        let one_way = [
            ("", "pub use a::A; pub use b::B;"),
            ("a", "use crate::B; pub struct A;"),
            ("b", "pub struct B;"),
        ];
        assert!(circles_in(&one_way).is_empty());
    }

    #[test]
    fn a_child_that_imports_from_the_module_above_it_is_a_circle() {
        let files = [("", ""), ("a", "pub use c::C; struct A;"), ("a::c", "use super::A; pub struct C;")];
        assert_eq!(circles_in(&files), [["a.rs", "c.rs"]]);
    }

    #[test]
    fn tests_builders_and_visibilities_do_not_count() {
        let files = [
            ("", ""),
            ("a", "use crate::builder::B; #[cfg(test)] mod tests { use crate::c::C; } pub struct A;"),
            ("builder", "use crate::a::A; pub struct B;"),
            ("c", "use crate::a::A; pub(in crate::a) struct C;"),
        ];
        assert!(circles_in(&files).is_empty());
    }
}
