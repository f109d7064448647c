//! Links in the documents have a target, and Prometheus can parse the alarm rules.
//!
//! Only links to files of the repository are followed, outside of code blocks. A broken link costs
//! a reader a search, and a broken rule costs an alarm.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::house::files;
use crate::step::{read, report, root};

/// The alarm rules of Prometheus.
const ALARMS: &str = "docs/deploy/prometheus/alerts.yaml";

/// Series, and the alarms that begin at them.
const ALARM_TESTS: &str = "docs/deploy/prometheus/alerts_test.yaml";

/// Fails with one line for each link without a target, and for alarm rules that are invalid or do
/// not begin when they should.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let mut faults = BTreeSet::new();
    for file in files(&root)?.iter().filter(|file| file.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        let place = file.parent().unwrap_or(Path::new(""));
        for link in links(&text).filter(|link| !root.join(place).join(link).exists()) {
            faults.insert(format!("{}: there is no {link}", file.display()));
        }
    }
    report(faults)?;
    read(Command::new("promtool").args(["check", "rules", ALARMS]).current_dir(&root))?;
    read(Command::new("promtool").args(["test", "rules", ALARM_TESTS]).current_dir(&root))?;
    Ok(())
}

/// Returns the targets of links to files, without their fragments, outside of code blocks.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("```")
        .step_by(2)
        .flat_map(|prose| prose.split("](").skip(1))
        .filter_map(|rest| rest.split([')', '#', ' ']).next())
        .filter(|end| !end.is_empty() && !end.contains("://") && !end.starts_with("mailto:"))
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](b.md) [c](d/e.md#f) [g](#h) [i](https://example.com)\n```\n[x](y.md)\n```\n[j](../k)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b.md", "d/e.md", "../k"]);
    }
}
