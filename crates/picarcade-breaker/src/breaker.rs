//! The circuit breaker: admission in front of a call, judgement behind it.
//!
//! The handle is cheap to clone; all clones are one breaker. The hot paths are here, and they are short: a closed call
//! with the consecutive policy loads one word, and when it succeeds loads two and adds one to a counter of its lane.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::broadcast;

use crate::{
    Config, ConfigError, Event, FailureKind, Name, Outcome, Permit, Recorded, Rejected, State,
    clock::{Tick, Timer, ticks},
    deadline,
    gate::{Gate, Word},
    machine::{Admission, Change, Machine, Mode, Report, ReportKind, Ticket},
    permit::OwnedPermit,
    totals::{Total, Totals},
    validate::validate,
    window::{Sample, Window},
};

/// A circuit breaker. Clones are handles of the same breaker.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use picarcade_breaker::{CallError, CircuitBreaker, Config, State};
///
/// let breaker = CircuitBreaker::new("anthropic", Config::default().failure_threshold(2)).expect("sound");
/// for _ in 0..2 {
///     let _ = breaker.call(async { Err::<(), _>("overloaded") }).await;
/// }
/// assert_eq!(breaker.state(), State::Open);
/// let error = breaker.call(async { Ok::<_, &str>(()) }).await.expect_err("open");
/// assert!(matches!(error, CallError::Rejected(rejected) if rejected.retry_after.as_secs() >= 59));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: Name,
    pub(crate) config: Config,
    pub(crate) gate: Gate,
    pub(crate) window: Option<Window>,
    pub(crate) totals: Totals,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) timer: Timer,
    /// The kind of the last counted failure, as its index in [`FailureKind::ALL`] plus one.
    pub(crate) last_failure: AtomicU8,
    /// `Tick::MAX` without a slow-call policy.
    slow_after: Tick,
    /// `Tick::MAX` if it is not configured.
    hung_after: Tick,
}

/// A call that was not let through, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    state: State,
    until: Tick,
    now: Tick,
}

impl CircuitBreaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field, when the configuration cannot work.
    pub fn new(name: impl Into<Arc<str>>, config: Config) -> Result<Self, ConfigError> {
        validate(&config)?;
        Ok(Self::build(name.into(), config))
    }

    /// A closed breaker with the [preset](Config::preset) of its name.
    #[must_use]
    pub fn preset(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        // Every preset is sound; a test of the validation says so.
        let config = Config::preset(&name);
        Self::build(name, config)
    }

    fn build(name: Arc<str>, config: Config) -> Self {
        let timer = Timer::new(config.clock);
        let inner = Inner {
            name: Name::from(name),
            gate: Gate::new(Machine::new(&config, timer.now())),
            window: Window::new(&config),
            totals: Totals::new(),
            events: broadcast::Sender::new(config.event_capacity),
            timer,
            last_failure: AtomicU8::new(0),
            slow_after: config.slow_calls.map_or(Tick::MAX, |slow| ticks(slow.longer_than)),
            hung_after: config.hung_after.map_or(Tick::MAX, ticks),
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.inner.name
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Admits a call, or returns when to come back. The caller records the outcome at the permit. A
    /// permit that is dropped without one counts as neutral, or as a time-out if a
    /// [`Deadline`](crate::Deadline) ended the call (see [`Permit`]).
    ///
    /// Never waits and allocates nothing.
    ///
    /// # Errors
    /// [`Rejected`] while the breaker does not admit the call.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        match self.inner.admit() {
            Ok(ticket) => Ok(Permit::new(&self.inner, ticket)),
            Err(refusal) => Err(self.inner.rejection(refusal)),
        }
    }

    /// Like [`try_acquire`](Self::try_acquire), with a permit that borrows nothing (and counts a reference instead).
    ///
    /// # Errors
    /// [`Rejected`] while the breaker does not admit the call.
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        match self.inner.admit() {
            Ok(ticket) => Ok(OwnedPermit::new(self.clone(), ticket)),
            Err(refusal) => Err(self.inner.rejection(refusal)),
        }
    }

    /// What the breaker does with the next call.
    ///
    /// An open breaker whose open time is over is reported as [`State::HalfOpen`], because the next call will be a probe;
    /// while the open time lasts, or the fleet holds the breaker open for another instance's probe, it is
    /// [`State::Open`]. Takes no lock.
    #[must_use]
    pub fn state(&self) -> State {
        let word = self.inner.gate.word();
        match word.mode() {
            Mode::Open if self.inner.timer.now() >= self.inner.gate.refuse_before() => State::HalfOpen,
            mode => mode.state(),
        }
    }

    /// Whether a call would be admitted now. Takes no slot and no lock, so another caller may be faster.
    #[must_use]
    pub fn is_available(&self) -> bool {
        match self.inner.gate.word().mode() {
            Mode::Open | Mode::HalfOpen => self.inner.timer.now() >= self.inner.gate.refuse_before(),
            Mode::ForcedOpen => false,
            Mode::Closed | Mode::Ramping | Mode::ForcedClosed | Mode::Disabled | Mode::MetricsOnly => true,
        }
    }

    /// Rejects every call until [`reset`](Self::reset) or another override. No timer ends it.
    pub fn force_open(&self) {
        self.inner.override_with(Mode::ForcedOpen);
    }

    /// Admits every call until [`reset`](Self::reset) or another override. Outcomes are summed up and judge nothing.
    pub fn force_close(&self) {
        self.inner.override_with(Mode::ForcedClosed);
    }

    /// Admits every call and records nothing until [`reset`](Self::reset) or another override.
    pub fn disable(&self) {
        self.inner.override_with(Mode::Disabled);
    }

    /// Admits and judges every call, but only announces what it would have done, until [`reset`](Self::reset) or another
    /// override.
    pub fn metrics_only(&self) {
        self.inner.override_with(Mode::MetricsOnly);
    }

    /// Closes the breaker and forgets what it judged by: the run of failures, the window, the growth of the open time.
    /// Ends every override. The totals stay.
    pub fn reset(&self) {
        self.inner.override_with(Mode::Closed);
    }

    /// The changes of state from now on. The channel is bounded: a subscriber that is too slow misses the oldest and is
    /// told how many ([`RecvError::Lagged`](broadcast::error::RecvError::Lagged)). No subscriber can slow a call down.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Whether both are handles of the same breaker.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Inner {
    /// Lets a call pass, or says why not.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Refusal> {
        let word = self.gate.word();
        match word.mode() {
            Mode::Closed | Mode::ForcedClosed | Mode::MetricsOnly | Mode::Disabled => Ok(self.ticket(word)),
            Mode::ForcedOpen => Err(Refusal { state: State::ForcedOpen, until: Tick::MAX, now: 0 }),
            mode => {
                let now = self.timer.now();
                let until = self.gate.refuse_before();
                if now < until {
                    Err(Refusal { state: mode.state(), until, now })
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
    fn admit_locked(&self, now: Tick) -> Result<Ticket, Refusal> {
        let (admission, change) = self.gate.admit(now);
        self.announce(change);
        match admission {
            Admission::Admitted(ticket) => Ok(Ticket { started: now, ..ticket }),
            Admission::Refused { state, until } => Err(Refusal { state, until, now }),
        }
    }

    #[inline]
    pub(crate) fn rejection(&self, refusal: Refusal) -> Rejected {
        self.totals.add(Total::Rejected);
        let retry_after = self.retry_after(refusal.until, refusal.now);
        Rejected { name: self.name.clone(), state: refusal.state, retry_after }
    }

    /// How long until `until`, never zero. An override has no end; its time is a guess of when to look again.
    #[inline]
    pub(crate) fn retry_after(&self, until: Tick, now: Tick) -> Duration {
        if until == Tick::MAX {
            return self.config.open_for;
        }
        let lag = ticks(self.timer.lag());
        Duration::from_nanos(until.saturating_sub(now).max(1).saturating_add(lag))
    }

    /// A success, by far the most frequent outcome.
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
        // The lag is added because a cached clock may show less time than the caller's time-out did.
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

    /// A neutral outcome only gives a probe's slot back.
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
        let timed = self.slow_after != Tick::MAX || self.window.as_ref().is_some_and(Window::needs_time);
        let now = if timed || failed || ticket.probe != 0 { self.timer.now() } else { 0 };
        let slow = self.slow_after != Tick::MAX && now.saturating_sub(ticket.started) >= self.slow_after;

        // An override other than metrics-only judges nothing, and probes are judged by themselves.
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
            let index = FailureKind::ALL.iter().position(|known| *known == kind).unwrap_or_default();
            self.last_failure.store(index as u8 + 1, Ordering::Relaxed);
        }
        self.totals.add(if failed { Total::Failure } else { Total::Success });
        if slow {
            self.totals.add(Total::Slow);
        }
        Recorded::Counted
    }

    #[cold]
    fn report(&self, ticket: Ticket, report: Report, now: Tick) -> Recorded {
        // Only a report under the lock can open the breaker, and only then is the time needed for sure.
        let now = if now == 0 { self.timer.now() } else { now };
        let (recorded, change) = self.gate.report(ticket, report, now, fastrand::f64());
        self.announce(change);
        recorded
    }

    #[cold]
    fn late(&self) -> Recorded {
        self.totals.add(Total::Late);
        Recorded::Late
    }

    fn override_with(&self, mode: Mode) {
        let now = self.timer.now();
        let change = self.gate.change(|machine| machine.override_with(mode, now));
        self.announce(change);
    }

    /// Tells the subscribers. Called after the lock is released, so the order of two events that happened on two threads
    /// is that of their generations, not of their arrival.
    pub(crate) fn announce(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        let event = Event::from_change(&self.name, change);
        crate::observe::announce(&event);
        // Nobody listens: nothing to do.
        drop(self.events.send(event));
    }
}

/// What the fleet may do to a breaker. See [`fleet`](crate::fleet).
#[cfg(feature = "fleet")]
impl CircuitBreaker {
    /// Opens a closed breaker because a quorum of others did. Says whether it did.
    pub(crate) fn open_by_quorum(&self) -> bool {
        self.steer(|machine, now| machine.open_by_quorum(now, fastrand::f64()))
    }

    /// Lets an open breaker probe at once because another found the service well.
    pub(crate) fn probe_now(&self) -> bool {
        self.steer(Machine::probe_now)
    }

    /// Keeps an open breaker from probing for `time` from now, because another probes.
    pub(crate) fn hold_open(&self, time: Duration) {
        self.steer(|machine, now| {
            machine.hold_open(now.saturating_add(ticks(time)));
            None
        });
    }

    /// The state, how often the breaker has opened, and how long until it may let a probe pass.
    pub(crate) fn glance(&self) -> (State, u64, Duration) {
        let glance = self.inner.gate.glance();
        let now = self.inner.timer.now();
        let state = glance.word.mode().state();
        let wait = if state == State::ForcedOpen { 0 } else { glance.refuse_before.saturating_sub(now) };
        (state, glance.opened, Duration::from_nanos(wait))
    }

    fn steer(&self, f: impl FnOnce(&mut Machine, Tick) -> Option<Change>) -> bool {
        let now = self.inner.timer.now();
        let change = self.inner.gate.change(|machine| f(machine, now));
        self.inner.announce(change);
        change.is_some()
    }
}
