//! Every interleaving of the files with atomics, explored by [loom](https://docs.rs/loom).
//!
//! `gate.rs` and `window/cell.rs` import their primitives from `super::sync`. This module compiles
//! them again with the primitives of loom. An ordinary `cargo test` explores them without a flag or
//! a second build, and the checked code is the code that runs.

use loom::{sync::Arc, thread};

use self::gate::Gate;
use crate::{
    Config, Recorded,
    machine::{Admission, Machine, Mode, Report, ReportKind, Ticket},
};

pub(super) mod sync {
    //! The primitives of loom with the interface that `gate.rs` expects.

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics with the lock")
        }
    }
}

#[path = "../gate.rs"]
#[allow(dead_code, clippy::duplicate_mod, reason = "compiled again with the types of loom")]
mod gate;

#[path = "../window/cell.rs"]
#[allow(dead_code, clippy::duplicate_mod, reason = "compiled again with the types of loom")]
mod cell;

const SECOND: u64 = 1_000_000_000;

fn report(kind: ReportKind) -> Report {
    Report { kind, tripped: None, slow: false, leave_alone: 0 }
}

/// Returns a gate whose next call, at `now`, is a probe.
fn ready(config: Config) -> (Gate, u64) {
    let gate = Gate::new(Machine::new(&config.failure_threshold(1), 1));
    let ticket = closed_ticket(&gate);
    assert_eq!(gate.report(ticket, report(ReportKind::Failure), 1, 0.0).0, Recorded::Counted);
    (gate, 61 * SECOND)
}

/// Reads one word, as the breaker does for a closed call.
fn closed_ticket(gate: &Gate) -> Ticket {
    Ticket { generation: gate.word().generation(), probe: 0, started: 0 }
}

/// Reads the published time and then locks, as the breaker does for a call that is not closed.
fn admit(gate: &Gate, now: u64) -> Option<Ticket> {
    let mode = gate.word().mode();
    if matches!(mode, Mode::Closed) {
        return Some(closed_ticket(gate));
    }
    if now < gate.refuse_before() {
        return None;
    }
    match gate.admit(now).0 {
        Admission::Admitted(ticket) => Some(ticket),
        Admission::Refused { .. } => None,
    }
}

/// Handles a success as the breaker does: the short way if it is plain.
fn succeed(gate: &Gate, ticket: Ticket, now: u64) -> Recorded {
    if ticket.probe == 0 && gate.success_is_plain(ticket.generation) {
        return Recorded::Counted;
    }
    gate.report(ticket, report(ReportKind::Success), now, 0.0).0
}

#[test]
fn callers_that_race_for_a_probe_get_exactly_one() {
    loom::model(|| {
        let (gate, now) = ready(Config::default());
        let gate = Arc::new(gate);
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || admit(&gate, now).is_some())
        };
        let here = admit(&gate, now).is_some();
        let there = other.join().expect("no panic");
        assert!(here != there, "{here} {there}");
    });
}

#[test]
fn a_released_probe_slot_can_be_taken_again() {
    loom::model(|| {
        let (gate, now) = ready(Config::default());
        let gate = Arc::new(gate);
        let probe = admit(&gate, now).expect("the first");
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.report(probe, report(ReportKind::Neutral), now, 0.0).0)
        };
        let early = admit(&gate, now);
        assert_eq!(other.join().expect("no panic"), Recorded::Counted);
        // A reader that sees the report must see the slot; a stale published time would block all
        // calls.
        assert_ne!(early.is_some(), admit(&gate, now).is_some());
    });
}

#[test]
fn a_failure_that_opens_and_another_one_leave_one_opening() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(Machine::new(&Config::default().failure_threshold(1), 1)));
        let (first, second) = (closed_ticket(&gate), closed_ticket(&gate));
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.report(first, report(ReportKind::Failure), 2, 0.0).0)
        };
        let here = gate.report(second, report(ReportKind::Failure), 2, 0.0).0;
        let there = other.join().expect("no panic");
        assert!((here == Recorded::Late) != (there == Recorded::Late), "{here:?} {there:?}");
        let snapshot = gate.snapshot();
        assert_eq!((snapshot.word.mode(), snapshot.opened), (Mode::Open, 1));
    });
}

#[test]
fn a_late_success_never_closes_and_a_plain_one_never_hides_a_change() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(Machine::new(&Config::default().failure_threshold(1), 1)));
        let (good, bad) = (closed_ticket(&gate), closed_ticket(&gate));
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.report(bad, report(ReportKind::Failure), 2, 0.0).0)
        };
        let _either = succeed(&gate, good, 2);
        assert_eq!(other.join().expect("no panic"), Recorded::Counted);
        assert_eq!(gate.word().mode(), Mode::Open);
        assert_eq!(succeed(&gate, good, 2), Recorded::Late);
    });
}

#[test]
fn a_success_and_a_failure_leave_a_run_of_some_order() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(Machine::new(&Config::default().failure_threshold(2), 1)));
        let (good, bad, more) = (closed_ticket(&gate), closed_ticket(&gate), closed_ticket(&gate));
        gate.report(bad, report(ReportKind::Failure), 2, 0.0);
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || succeed(&gate, good, 2))
        };
        gate.report(more, report(ReportKind::Failure), 2, 0.0);
        let success = other.join().expect("no panic");
        let snapshot = gate.snapshot();
        // Either the success came between the failures, or after the second, which had opened the
        // breaker.
        match success {
            Recorded::Counted => assert_eq!((snapshot.word.mode(), snapshot.consecutive), (Mode::Closed, 1)),
            _ => assert_eq!(snapshot.word.mode(), Mode::Open),
        }
    });
}

#[test]
fn a_reader_of_a_generation_sees_its_words() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(Machine::new(&Config::default().failure_threshold(1), 1)));
        let ticket = closed_ticket(&gate);
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.report(ticket, report(ReportKind::Failure), 7, 0.0))
        };
        let word = gate.word();
        if word.mode() == Mode::Open {
            assert_eq!(gate.refuse_before(), 7 + 60 * SECOND, "open, but nobody is refused");
        }
        other.join().expect("no panic");
    });
}

#[test]
fn a_snapshot_is_of_one_moment() {
    // Each load may return each store, so there are too many interleavings. Three preemptions
    // suffice to fall between any two stores of one thread and any two loads of the other.
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(|| {
        let gate = Arc::new(Gate::new(Machine::new(&Config::default().failure_threshold(1), 1)));
        let ticket = closed_ticket(&gate);
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.report(ticket, report(ReportKind::Failure), 7, 0.0))
        };
        if let Ok(snapshot) = gate.snapshot_once() {
            let expected = if snapshot.word.mode() == Mode::Open { (7, 1) } else { (1, 0) };
            assert_eq!((snapshot.since, snapshot.opened), expected);
        }
        other.join().expect("no panic");
    });
}

#[test]
fn an_override_comes_before_a_verdict_or_after_it() {
    loom::model(|| {
        let (gate, now) = ready(Config::default().success_threshold(1));
        let gate = Arc::new(gate);
        let probe = admit(&gate, now).expect("the first");
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || succeed(&gate, probe, now))
        };
        gate.change(|machine| machine.override_with(Mode::ForcedOpen, now));
        other.join().expect("no panic");
        assert_eq!(gate.word().mode(), Mode::ForcedOpen);
        assert!(gate.admit(now + 1000 * SECOND).1.is_none());
    });
}

#[test]
fn cells_lose_no_count_and_mix_no_moments() {
    loom::model(|| {
        let cell = Arc::new(cell::Cell::new());
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                cell.add(5);
                cell.add(6);
            })
        };
        cell.add(6);
        let seen = cell.read(6..=6);
        assert!((1..=2).contains(&seen), "{seen}");
        other.join().expect("no panic");
        assert_eq!((cell.read(6..=6), cell.read(5..=5)), (2, 0));
    });
}
