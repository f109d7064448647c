//! Logs: text on a terminal, JSON otherwise, on standard error. `RUST_LOG` chooses the level; `info` is the default.
//!
//! At the default level there is no prompt, no user and no secret in any line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs of the service.
pub(crate) fn start() {
    begin("info");
}

/// Logs of a command whose output is its answer: warnings only.
pub(crate) fn start_quiet() {
    begin("warn");
}

fn begin(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second initialisation in one process keeps the first, which is what a test wants.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
