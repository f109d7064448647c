//! The events that a subscriber of `tracing` receives: one per change of state, a warning if calls
//! are rejected from then on, and none per call.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use picarcade_breaker::Config;

use crate::support::{breaker, fail, succeed};

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn changes_of_state_are_traced_and_calls_are_not() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let breaker = breaker(Config::default().failure_threshold(2));
    ::tracing::subscriber::with_default(subscriber, || {
        for _ in 0..10 {
            succeed(&breaker);
        }
        fail(&breaker);
        fail(&breaker);
        assert!(breaker.try_acquire().is_err());
        breaker.force_close();
        breaker.force_open();
    });
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let expected: [&[&str]; 3] = [
        &["WARN", "breaker=test", "from=closed", "to=open", "cause=consecutive_failures", "open_seconds=60"],
        &["INFO", "breaker=test", "from=open", "to=forced_closed", "cause=manual"],
        &["WARN", "breaker=test", "from=forced_closed", "to=forced_open", "cause=manual"],
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, parts) in lines.iter().zip(expected) {
        for part in parts {
            assert!(line.contains(part), "{part} is missing: {line}");
        }
    }
}
