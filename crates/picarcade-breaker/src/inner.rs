//! The shared part of a breaker: admission of calls and judgment of their outcomes.
//!
//! The hot paths are short. With the consecutive policy, admission of a closed call loads one word.
//! A success then loads one word and adds one to a counter of its lane.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::broadcast;

use crate::{
    BreakerEvent, Config, FailureKind, Name, Outcome, Recorded, Rejected, State,
    clock::{Tick, Timer, ticks},
    deadline,
    gate::{Gate, Word},
    lane::{Total, Totals},
    machine::{Admission, Change, Machine, Mode, Report, ReportKind, Ticket},
    observe,
    window::{RateWindow, Sample},
};

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: Name,
    pub(crate) config: Config,
    pub(crate) gate: Gate,
    pub(crate) window: Option<RateWindow>,
    pub(crate) totals: Totals,
    pub(crate) events: broadcast::Sender<BreakerEvent>,
    pub(crate) timer: Timer,
    /// The kind of the last counted failure, as its place in [`FailureKind::ALL`] plus one.
    pub(crate) last_failure: AtomicU8,
    /// `Tick::MAX` without a slow-call policy.
    slow_after: Tick,
    /// `Tick::MAX` if it is not configured.
    hung_after: Tick,
}

impl Inner {
    pub(crate) fn new(name: Arc<str>, config: Config) -> Self {
        let timer = Timer::new(config.clock);
        Self {
            name: Name::from(name),
            gate: Gate::new(Machine::new(&config, timer.now())),
            window: RateWindow::new(&config),
            totals: Totals::new(),
            events: broadcast::Sender::new(config.event_capacity),
            timer,
            last_failure: AtomicU8::new(0),
            slow_after: config.slow_calls.map_or(Tick::MAX, |slow| ticks(slow.longer_than)),
            hung_after: config.hung_after.map_or(Tick::MAX, ticks),
            config,
        }
    }

    /// Admits a call, or returns when to try again.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Rejected> {
        let word = self.gate.word();
        match word.mode() {
            Mode::Closed | Mode::ForcedClosed | Mode::MetricsOnly | Mode::Disabled => Ok(self.ticket(word)),
            Mode::ForcedOpen => Err(self.rejection(State::ForcedOpen, Tick::MAX, 0)),
            mode => {
                let now = self.timer.now();
                let until = self.gate.refuse_before();
                if now < until {
                    Err(self.rejection(mode.state(), until, now))
                } else {
                    self.admit_locked(now)
                }
            }
        }
    }

    #[inline]
    fn ticket(&self, word: Word) -> Ticket {
        let untimed = self.slow_after == Tick::MAX && self.hung_after == Tick::MAX;
        let started = if untimed { 0 } else { self.timer.now() };
        Ticket { generation: word.generation(), probe: 0, started }
    }

    #[cold]
    fn admit_locked(&self, now: Tick) -> Result<Ticket, Rejected> {
        let (admission, change) = self.gate.admit(now);
        self.publish(change);
        match admission {
            Admission::Admitted(ticket) => Ok(Ticket { started: now, ..ticket }),
            Admission::Refused { state, until } => Err(self.rejection(state, until, now)),
        }
    }

    #[inline]
    fn rejection(&self, state: State, until: Tick, now: Tick) -> Rejected {
        self.totals.add(Total::Rejected);
        Rejected { name: self.name.clone(), state, retry_after: self.retry_after(until, now) }
    }

    /// Returns the time until `until`, never zero. An override has no end, so its time is an
    /// estimate of when a new attempt is useful.
    #[inline]
    pub(crate) fn retry_after(&self, until: Tick, now: Tick) -> Duration {
        if until == Tick::MAX {
            return self.config.open_for;
        }
        let lag = ticks(self.timer.lag());
        Duration::from_nanos(until.saturating_sub(now).max(1).saturating_add(lag))
    }

    /// Records a success, by far the most frequent outcome.
    #[inline]
    pub(crate) fn record_success(&self, ticket: Ticket) -> Recorded {
        if self.window.is_none() && ticket.probe == 0 && self.gate.success_is_plain(ticket.generation) {
            self.totals.add(Total::Success);
            return Recorded::Counted;
        }
        self.record(ticket, Outcome::Success)
    }

    pub(crate) fn record(&self, ticket: Ticket, outcome: Outcome) -> Recorded {
        let word = self.gate.word();
        if word.generation() != ticket.generation {
            return self.late();
        }
        if word.mode() == Mode::Disabled {
            return Recorded::Ignored;
        }
        match outcome {
            Outcome::Success => self.judge(word, ticket, None),
            Outcome::Failure { kind, retry_after } => self.judge(word, ticket, Some((kind, retry_after))),
            Outcome::Neutral => self.record_neutral(ticket),
        }
    }

    /// Records a call whose permit was dropped without an outcome.
    #[cold]
    pub(crate) fn record_dropped(&self, ticket: Ticket) {
        // The lag is added because a cached clock may show less time than the time-out of the
        // caller did.
        let lasted =
            || self.timer.now().saturating_sub(ticket.started).saturating_add(ticks(self.timer.lag()));
        let hung = self.hung_after != Tick::MAX && lasted() >= self.hung_after;
        let outcome = if hung || deadline::is_ending() {
            Outcome::failure(FailureKind::Timeout)
        } else {
            Outcome::Neutral
        };
        self.record(ticket, outcome);
    }

    /// Records a neutral outcome, which only releases the slot of a probe.
    fn record_neutral(&self, ticket: Ticket) -> Recorded {
        if ticket.probe != 0 {
            let report = Report { kind: ReportKind::Neutral, tripped: None, slow: false, leave_alone: 0 };
            if self.gate.report(ticket, report, self.timer.now(), 0.0).0 == Recorded::Late {
                return self.late();
            }
        }
        self.totals.add(Total::Neutral);
        Recorded::Counted
    }

    #[inline]
    fn judge(
        &self,
        word: Word,
        ticket: Ticket,
        failure: Option<(FailureKind, Option<Duration>)>,
    ) -> Recorded {
        let failed = failure.is_some();
        let timed = self.slow_after != Tick::MAX || self.window.as_ref().is_some_and(RateWindow::needs_time);
        let now = if timed || failed || ticket.probe != 0 { self.timer.now() } else { 0 };
        let slow = self.slow_after != Tick::MAX && now.saturating_sub(ticket.started) >= self.slow_after;

        // No override other than metrics-only judges calls, and the machine judges probes.
        let judged = ticket.probe == 0 && word.mode() != Mode::ForcedClosed;
        let tripped = match &self.window {
            Some(window) if judged => window.record(ticket.generation, now, Sample { failed, slow }),
            _ => None,
        };
        if failed || ticket.probe != 0 || tripped.is_some() || !self.gate.success_is_plain(ticket.generation)
        {
            let kind = if failed { ReportKind::Failure } else { ReportKind::Success };
            let retry_after = failure.and_then(|(_, after)| after).unwrap_or_default();
            let leave_alone = ticks(retry_after.min(self.config.retry_after_max));
            if self.report(ticket, Report { kind, tripped, slow, leave_alone }, now) == Recorded::Late {
                return self.late();
            }
        }
        if let Some((kind, _)) = failure {
            self.last_failure.store(kind as u8 + 1, Ordering::Relaxed);
        }
        self.totals.add(if failed { Total::Failure } else { Total::Success });
        if slow {
            self.totals.add(Total::Slow);
        }
        Recorded::Counted
    }

    #[cold]
    fn report(&self, ticket: Ticket, report: Report, now: Tick) -> Recorded {
        // Only a report under the lock can open the breaker, so the clock is read only here.
        let now = if now == 0 { self.timer.now() } else { now };
        let (recorded, change) = self.gate.report(ticket, report, now, fastrand::f64());
        self.publish(change);
        recorded
    }

    #[cold]
    fn late(&self) -> Recorded {
        self.totals.add(Total::Late);
        Recorded::Late
    }

    pub(crate) fn override_with(&self, mode: Mode) {
        let now = self.timer.now();
        let change = self.gate.change(|machine| machine.override_with(mode, now));
        self.publish(change);
    }

    /// Publishes a change to the subscribers. Called after the lock is released, so the events of
    /// two threads are ordered by their generations and not by their arrival.
    pub(crate) fn publish(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        let event = BreakerEvent::from_change(&self.name, change);
        observe::record(&event);
        // Sending fails only without subscribers.
        drop(self.events.send(event));
    }
}
