//! Lines that repeat: each place in the code may write [`BURST`] lines in [`PERIOD`], of any level above `debug`. What goes
//! beyond is counted, and one line a period and place says how much that was.
//!
//! The bound is by place and not by text, so that neither a user's words nor an address can make a new line of it.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of one place in a period.
const BURST: u32 = 10;

/// A period.
const PERIOD: Duration = Duration::from_secs(10);

/// What each place has said in its period. Bounded by the code: a place is a statement.
static PLACES: LazyLock<Mutex<HashMap<Identifier, Place>>> = LazyLock::new(Mutex::default);

/// One statement.
#[derive(Debug)]
struct Place {
    metadata: &'static Metadata<'static>,
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Place {
    const fn new(metadata: &'static Metadata<'static>, now: Instant) -> Self {
        Self { metadata, since: now, written: 0, left_out: 0 }
    }

    /// Whether one more line may be written.
    fn may_write(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= PERIOD {
            (self.since, self.written) = (now, 0);
        }
        if self.written < BURST {
            self.written += 1;
            return true;
        }
        self.left_out += 1;
        false
    }
}

/// Lets a line pass while its place has said little.
///
/// A layer and not a filter of one: filters of single layers keep their state in the thread, and lose count of it when a line
/// is written while another one is being looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogThrottle;

impl<S: Subscriber> Layer<S> for LogThrottle {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Who asks for `debug` wants to see everything.
        if *metadata.level() > Level::INFO {
            return true;
        }
        let now = Instant::now();
        PLACES.lock().entry(metadata.callsite()).or_insert_with(|| Place::new(metadata, now)).may_write(now)
    }
}

/// Says once a period what was left out, for as long as the process lives.
pub(super) async fn report() {
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        report_suppressed();
    }
}

/// Says what was left out since the last time.
pub(super) fn report_suppressed() {
    let mut left_out = Vec::new();
    for place in PLACES.lock().values_mut() {
        if place.left_out > 0 {
            left_out.push((place.metadata, std::mem::take(&mut place.left_out)));
        }
    }
    for (metadata, lines) in left_out {
        let place = metadata.file().zip(metadata.line()).map(|(file, line)| format!("{file}:{line}"));
        tracing::warn!(lines, level = %metadata.level(), of = metadata.target(), place, "more lines of one kind were left out");
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
    fn a_place_may_say_a_little_in_each_period() {
        let start = Instant::now();
        let mut place = Place::new(metadata(), start);
        let written = (0..100).filter(|_| place.may_write(start)).count();
        assert_eq!((written, place.left_out), (10, 90));
        assert!(!place.may_write(start + PERIOD.checked_sub(Duration::from_millis(1)).unwrap()));
        assert!(place.may_write(start + PERIOD));
    }
}
