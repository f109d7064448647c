//! Logs on standard error: text on a terminal, JSON otherwise. `RUST_LOG` sets the level; the
//! default is `info`.
//!
//! At the default level no line has a prompt, a user or a secret. Repeated failures do not flood
//! the log: the lines of each statement are limited, and suppressed lines are counted (see
//! [`log_throttle`]).

use std::io::{IsTerminal, Write};

use serde_json::json;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::log_throttle::{self, LogThrottle};

/// Starts the logs of the service. Call it inside the runtime.
pub(crate) fn start() {
    begin("info");
    tokio::spawn(log_throttle::report());
    std::panic::set_hook(Box::new(|panic| {
        report_panic(panic.location().map(ToString::to_string).as_deref());
    }));
}

/// Writes one line about a panic. The text of a panic may quote a request, and a backtrace has many
/// lines, so the line has only the place. It does not use the logger, because the logger may have
/// panicked.
fn report_panic(place: Option<&str>) {
    let message = "panic: a defect of the program";
    let mut stderr = std::io::stderr();
    // If standard error is closed, there is no other place to report to.
    let _ = if stderr.is_terminal() {
        writeln!(stderr, "ERROR {message} place={}", place.unwrap_or("unknown"))
    } else {
        let timestamp = jiff::Timestamp::now().to_string();
        let line = json!({ "timestamp": timestamp, "level": "ERROR", "message": message, "place": place });
        writeln!(stderr, "{line}")
    };
}

/// Starts the logs of a command whose output is its answer: warnings only.
pub(crate) fn start_quiet() {
    begin("warn");
}

fn begin(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let layer = fmt::layer().with_writer(std::io::stderr);
    let registry = registry();
    // A second initialization in one process keeps the first, as tests need.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(layer.with_target(false)).with(LogThrottle).with(filter).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).with(LogThrottle).with(filter).try_init()
    };
}
