//! A throttle for repeated log lines. Each statement may write [`BURST`] lines in a [`PERIOD`], at
//! any level above `debug`. Further lines are counted, and one line for each period and statement
//! reports their number. The access log is exempt.
//!
//! The limit is by statement and not by text, so that neither a user's words nor an address can
//! evade it.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The target of the lines of the access log, which are not throttled.
pub(crate) const ACCESS_TARGET: &str = "picarcade::access";

/// The most lines of one statement in a period.
const BURST: u32 = 10;

/// The length of a period.
const PERIOD: Duration = Duration::from_secs(10);

/// The state of each statement. The number of statements in the code bounds it.
static PLACES: LazyLock<Mutex<HashMap<Identifier, Place>>> = LazyLock::new(Mutex::default);

/// The state of one statement.
#[derive(Debug)]
struct Place {
    metadata: &'static Metadata<'static>,
    since: Instant,
    written: u32,
    suppressed: u64,
}

impl Place {
    const fn new(metadata: &'static Metadata<'static>, now: Instant) -> Self {
        Self { metadata, since: now, written: 0, suppressed: 0 }
    }

    /// Returns whether one more line may be written.
    fn may_write(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= PERIOD {
            (self.since, self.written) = (now, 0);
        }
        if self.written < BURST {
            self.written += 1;
            return true;
        }
        self.suppressed += 1;
        false
    }
}

/// A layer that drops the lines of a statement that has used up its burst.
///
/// It is a layer and not a filter of one layer. Such filters keep their state in the thread and
/// lose it if a line is written while another one is being filtered.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogThrottle;

impl<S: Subscriber> Layer<S> for LogThrottle {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // An operator who enables `debug` or the access log wants to see every line.
        if *metadata.level() > Level::INFO || metadata.target() == ACCESS_TARGET {
            return true;
        }
        let now = Instant::now();
        PLACES.lock().entry(metadata.callsite()).or_insert_with(|| Place::new(metadata, now)).may_write(now)
    }
}

/// Reports the suppressed lines once a period, until the process ends.
pub(super) async fn report() {
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        report_suppressed();
    }
}

/// Reports the lines that were suppressed since the last report.
pub(crate) fn report_suppressed() {
    let mut suppressed = Vec::new();
    for place in PLACES.lock().values_mut() {
        if place.suppressed > 0 {
            suppressed.push((place.metadata, std::mem::take(&mut place.suppressed)));
        }
    }
    for (metadata, lines) in suppressed {
        let place = metadata.file().zip(metadata.line()).map(|(file, line)| format!("{file}:{line}"));
        tracing::warn!(lines, level = %metadata.level(), of = metadata.target(), place, "log lines suppressed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> &'static Metadata<'static> {
        use tracing::Callsite;
        tracing::callsite! { name: "line", kind: tracing::metadata::Kind::EVENT, fields: message }.metadata()
    }

    #[test]
    fn each_statement_may_write_a_burst_in_each_period() {
        let start = Instant::now();
        let mut place = Place::new(metadata(), start);
        let written = (0..100).filter(|_| place.may_write(start)).count();
        assert_eq!((written, place.suppressed), (10, 90));
        assert!(!place.may_write(start + PERIOD.checked_sub(Duration::from_millis(1)).unwrap()));
        assert!(place.may_write(start + PERIOD));
    }
}
