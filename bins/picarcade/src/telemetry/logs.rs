//! Logs: text on a terminal, JSON otherwise, on standard error. `RUST_LOG` chooses the level; `info` is the default.
//!
//! At the default level there is no prompt, no user and no secret in any line. A storm of failures is no storm of lines: each
//! place in the code may say a few of them in a while, and what it had to leave out is counted (see [`log_throttle`]).

use std::io::{IsTerminal, Write};

use serde_json::json;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::log_throttle::{self, LogThrottle};

/// Logs of the service. Call it inside the runtime.
pub(crate) fn start() {
    begin("info");
    tokio::spawn(log_throttle::report());
    std::panic::set_hook(Box::new(|panic| say(panic.location().map(ToString::to_string).as_deref())));
}

/// One line about a panic. What a panic says may quote what it was about, and a backtrace is many lines: only the place is
/// told. Past the logger, which may be what panicked.
fn say(place: Option<&str>) {
    let message = "a panic: a defect of the program";
    let mut stderr = std::io::stderr();
    // Where standard error is gone, so is whoever could be told.
    let _ = if stderr.is_terminal() {
        writeln!(stderr, "ERROR {message} place={}", place.unwrap_or("unknown"))
    } else {
        let timestamp = jiff::Timestamp::now().to_string();
        let line = json!({ "timestamp": timestamp, "level": "ERROR", "message": message, "place": place });
        writeln!(stderr, "{line}")
    };
}

/// The last words: what was left out and not told yet.
pub(crate) fn finish() {
    log_throttle::report_suppressed();
}

/// Logs of a command whose output is its answer: warnings only.
pub(crate) fn start_quiet() {
    begin("warn");
}

fn begin(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let layer = fmt::layer().with_writer(std::io::stderr);
    let registry = registry();
    // A second initialisation in one process keeps the first, which is what a test wants.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(layer.with_target(false)).with(LogThrottle).with(filter).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).with(LogThrottle).with(filter).try_init()
    };
}
