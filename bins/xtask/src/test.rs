//! `cargo xtask test`: every test of every crate, with real servers.

use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, Result, anyhow, bail};

use crate::setup;
use crate::step::{cargo, step};

/// Runs set-up and then `cargo test` to its end, and reports every failure. Arguments go to
/// `cargo test`; without a package among them, the whole workspace is tested.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    let options: Vec<&String> = arguments.iter().take_while(|argument| *argument != "--").collect();
    let names_package =
        options.iter().any(|option| option.starts_with("-p") || option.starts_with("--package"));
    let mut test = vec!["test", "--all-features"];
    if !names_package {
        test.push("--workspace");
    }
    if !options.iter().any(|option| *option == "--no-fail-fast") {
        test.push("--no-fail-fast");
    }
    test.extend(arguments.iter().map(String::as_str));
    step("test", || execute(&test))?;
    println!("All tests passed.");
    Ok(())
}

/// Written after the last byte of cargo. Waiting for the end of the pipe would hang if a process
/// that a test left behind holds it open.
const END: &[u8] = b"\0end of cargo test\n";

/// Runs cargo, passes its output on, and names the failures in it.
fn execute(arguments: &[&str]) -> Result<()> {
    // Both streams share one pipe, which keeps them in order: cargo writes the names of targets to
    // standard error, and the targets write the names of their tests to standard output.
    let (output, mut end) = std::io::pipe().context("cannot make a pipe")?;
    let (writer, errors) = (end.try_clone()?, end.try_clone()?);
    let mut child =
        cargo().args(arguments).stdout(writer).stderr(errors).spawn().context("cannot run cargo")?;
    let ended = std::thread::spawn(move || {
        let status = child.wait();
        end.write_all(END).and(status)
    });
    let mut failures = Failures::default();
    let mut output = BufReader::new(output);
    let mut terminal = std::io::stdout().lock();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).context("cannot read what cargo writes")? > 0 {
        let text = line.strip_suffix(END);
        // Output that cannot be shown does not fail a test.
        let _ = terminal.write_all(text.unwrap_or(&line)).and_then(|()| terminal.flush());
        if text.is_some() {
            break;
        }
        failures.read(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    drop(terminal);
    let status =
        ended.join().map_err(|_| anyhow!("the wait for cargo failed"))?.context("cannot wait for cargo")?;
    if !status.success() {
        bail!("`cargo {}`: {status}{}", arguments.join(" "), failures.summary());
    }
    Ok(())
}

/// The failures in the output of `cargo test`.
#[derive(Debug, Default)]
struct Failures {
    /// The lines since the last heading `failures:`. The last such heading of a target precedes the
    /// names of its failed tests.
    names: Vec<String>,
    /// Each failed target, as cargo names it, and its failed tests.
    targets: Vec<(String, Vec<String>)>,
}

impl Failures {
    fn read(&mut self, line: &str) {
        let target = line.split_once("failed, to rerun pass `").and_then(|(_, rest)| rest.strip_suffix('`'));
        if line == "failures:" || line.trim_start().starts_with("Running ") {
            self.names.clear();
        } else if let Some(name) = line.strip_prefix("    ") {
            self.names.push(name.to_owned());
        } else if let Some(target) = target {
            self.targets.push((target.to_owned(), std::mem::take(&mut self.names)));
        }
    }

    /// A line for each target and test that failed; empty if what failed is not a test.
    fn summary(&self) -> String {
        let mut text = String::new();
        for (target, names) in &self.targets {
            text.extend(["\nfailed: ", target]);
            for name in names {
                text.extend(["\n    ", name]);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Failures;

    #[test]
    fn the_summary_names_every_failed_target_and_its_tests() {
        let output = "\
     Running tests/it/main.rs (target/debug/deps/it-1)

running 3 tests
test a::good ... ok
test a::bad ... FAILED
test a::worse ... FAILED

failures:

---- a::bad stdout ----
    a line of its own

failures:
    a::bad
    a::worse

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s

error: test failed, to rerun pass `-p one --test it`
     Running unittests src/lib.rs (target/debug/deps/two-1)
test b::good ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s

     Running tests/it/main.rs (target/debug/deps/it-2)
error: test failed, to rerun pass `-p three --test it`

Caused by:
  process didn't exit successfully: `it-2` (signal: 6, SIGABRT: process abort signal)
   Doc-tests two

failures:
    two/src/lib.rs - (line 7)

error: doctest failed, to rerun pass `-p two --doc`
error: 3 targets failed:
    `-p one --test it`
    `-p three --test it`
    `-p two --doc`";
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        assert_eq!(
            failures.summary(),
            "
failed: -p one --test it
    a::bad
    a::worse
failed: -p three --test it
failed: -p two --doc
    two/src/lib.rs - (line 7)"
        );
    }

    #[test]
    fn what_does_not_compile_has_no_summary() {
        let mut failures = Failures::default();
        failures.read("error: could not compile `one` (lib) due to 1 previous error");
        assert_eq!(failures.summary(), "");
    }
}
