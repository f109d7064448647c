//! The commands of the project: everything that would otherwise take two commands.
//!
//! A command is a list of steps. Each prints its name and its duration. The last line names the
//! failed step, and the exit code is 1 (2 for a wrong call).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line is for")]

mod check;
mod ci;
mod metadata;
mod programs;
mod setup;
mod step;
mod test;
mod train;

use std::process::ExitCode;

use anyhow::Result;

const HELP: &str = "\
cargo xtask <command>

  setup            what the tests need of this machine: looks for it, and installs it as root on Debian
  test [ARGS]      setup, then all tests, and every failure by name; ARGS go to `cargo test`, e.g. `-p picarcade-cache -- single_flight`
  ci [CHECK…]      every check that is not a test: house, language, documents, layers, circles, licences,
                   format, clippy, features, docs, api, packages
  api              writes the public interfaces of the libraries to docs/api, which `ci api` compares with the code
  bench [ARGS]     the criterion benches; ARGS go to `cargo bench`, e.g. `-- l1`
  load [ARGS]      the service under load, closed and open loop: a table; ARGS: --seconds --users --rate --ai-ms N, --fleet
  train FILE…      both stages of the local classifier, from the corpus and from labeled prompts as JSON lines
  eval [FILE…]     the shipped classifier on files of labeled prompts, or on the project's own sets
  help             this";

fn main() -> ExitCode {
    if std::env::var_os(check::api::AS_RUSTDOC).is_some() {
        return finish("rustdoc", check::api::rustdoc());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let done = match command {
        "setup" => setup::run(),
        "test" => test::run(rest),
        "ci" => ci::run(rest),
        "api" => check::api::write(),
        "bench" => programs::bench(rest),
        "load" => programs::load(rest),
        "train" => train::train(rest),
        "eval" => programs::eval(rest),
        "help" | "-h" | "--help" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("there is no command {other:?}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    finish(command, done)
}

fn finish(command: &str, done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
