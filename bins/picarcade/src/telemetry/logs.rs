//! Logs on standard error: text on a terminal, JSON otherwise. `RUST_LOG` sets the level; the
//! default is `info`.
//!
//! At the default level no line has a prompt, a user or a secret. Repeated failures do not flood
//! the log: the lines of each statement are limited, and suppressed lines are counted (see
//! [`log_throttle`]).

use std::io::{IsTerminal, Write};

use serde_json::json;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::log_throttle::{self, LogThrottle};
use crate::config::{ConfigError, Origin};

/// The variable with the filter of the log.
const FILTER: &str = "RUST_LOG";

/// What the filter of the log must be.
const EXPECTED: &str = "must be off, error, warn, info, debug or trace, or a comma list of these and of \
                        TARGET=LEVEL, such as info,picarcade=debug";

/// What the default adds to a level: the lines of drivers quote servers, and the service reports
/// each failure with its cause.
const WITHOUT_DRIVERS: &str = ",sqlx=off,fred=off,redis=off";

/// Starts the logs of the service. Call it inside the runtime.
pub(crate) fn start() -> Result<(), ConfigError> {
    begin("info")?;
    tokio::spawn(log_throttle::report());
    std::panic::set_hook(Box::new(|panic| {
        report_panic(panic.location().map(ToString::to_string).as_deref());
    }));
    Ok(())
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
pub(crate) fn start_quiet() -> Result<(), ConfigError> {
    begin("warn")
}

/// Checks the filter of the log.
pub(crate) fn check() -> Result<(), ConfigError> {
    filter("info").map(drop)
}

/// Returns the filter that `RUST_LOG` sets, or else the default.
fn filter(default: &str) -> Result<EnvFilter, ConfigError> {
    let set = std::env::var_os(FILTER).map(|set| set.to_string_lossy().into_owned());
    let text =
        set.filter(|set| !set.trim().is_empty()).unwrap_or_else(|| format!("{default}{WITHOUT_DRIVERS}"));
    parse(text.trim()).ok_or_else(|| ConfigError::Wrong {
        key: FILTER.to_lowercase(),
        origin: Origin::Environment(FILTER),
        reason: EXPECTED.to_owned(),
    })
}

/// Parses a filter. The library takes a word that is no level for a target, of which it shows
/// everything: `RUST_LOG=inof` would silence the service. Only our own targets may stand alone.
fn parse(text: &str) -> Option<EnvFilter> {
    let is_known = |word: &str| {
        word.is_empty()
            || word.contains(['=', '[', ']', '{', '}'])
            || word.starts_with("picarcade")
            || word.parse::<LevelFilter>().is_ok()
    };
    if !text.split(',').map(str::trim).all(is_known) {
        return None;
    }
    EnvFilter::builder().parse(text).ok()
}

fn begin(default: &str) -> Result<(), ConfigError> {
    let filter = filter(default)?;
    let layer = fmt::layer().with_writer(std::io::stderr);
    let registry = registry();
    // A second initialization in one process keeps the first, as tests need.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(layer.with_target(false)).with(LogThrottle).with(filter).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).with(LogThrottle).with(filter).try_init()
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_an_unknown_level_is_refused() {
        for good in
            ["info", "WARN", "off", "3", "picarcade", "info,picarcade=debug", "hyper=trace,", "[a]=info"]
        {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in ["inof", "verbose", "warning", "info;debug", "picarcade=inof", "info, hyper", "\"info\""] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
