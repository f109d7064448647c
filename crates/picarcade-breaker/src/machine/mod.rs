//! The state machine. Pure: it takes the time as an argument, draws no random number, starts no
//! task and takes no lock. The [`gate`](crate::gate) around it does.
//!
//! Three ideas prevent the known faults of circuit breakers:
//!
//! - **Generations.** Every change of state begins a new generation, and every admitted call
//!   carries a [`Ticket`] of its generation. An outcome of an earlier generation changes nothing: a
//!   success that was in flight when the breaker opened cannot close it, and a failure cannot
//!   reopen it.
//! - **Half-open is a set of leases.** A probe holds a slot until it reports or its deadline
//!   passes. A lost probe costs at most that time, so the half-open state always admits another
//!   one.
//! - **Earliest decision.** One failed probe reopens, and the last required success closes. The
//!   other probes are not awaited; their results belong to an earlier generation.

mod mode;
mod open_time;
mod probes;
mod ramp;
mod report;

pub(crate) use self::{
    mode::Mode,
    report::{Admission, Change, Late, Report, ReportKind, Ticket},
};
use self::{open_time::OpenTime, probes::Probes, ramp::Readmission};
use crate::{Cause, Config, clock::Tick};

#[derive(Debug)]
pub(crate) struct Machine {
    failure_threshold: u32,
    success_threshold: u32,
    open_time: OpenTime,
    readmission: Option<Readmission>,
    probes: Probes,

    mode: Mode,
    generation: u64,
    /// When the current state began.
    since: Tick,
    /// Open: the first moment at which a probe may pass.
    until: Tick,
    /// The number of failures in a row.
    consecutive: u32,
    /// The number of successful probes of this half-open state.
    successes: u32,
    /// The end of the longest `Retry-After` in this closed or half-open period.
    leave_alone_until: Tick,
    /// Metrics-only: the current verdict was announced.
    announced: bool,
    /// How often the breaker opened.
    opened: u64,
}

impl Machine {
    /// Creates a closed machine. `config` has been validated.
    pub(crate) fn new(config: &Config, now: Tick) -> Self {
        Self {
            failure_threshold: config.failure_threshold,
            success_threshold: config.success_threshold,
            open_time: OpenTime::new(config),
            readmission: config.ramp.map(Readmission::new),
            probes: Probes::new(config),
            mode: Mode::Closed,
            generation: 1,
            since: now,
            until: 0,
            consecutive: 0,
            successes: 0,
            leave_alone_until: 0,
            announced: false,
            opened: 0,
        }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) const fn since(&self) -> Tick {
        self.since
    }

    pub(crate) const fn consecutive(&self) -> u32 {
        self.consecutive
    }

    pub(crate) const fn opened(&self) -> u64 {
        self.opened
    }

    /// Before this tick no call passes, so callers need not ask. Zero if they should ask.
    pub(crate) fn refuse_before(&self) -> Tick {
        match self.mode {
            Mode::Open => self.until,
            Mode::HalfOpen => self.probes.free_at(),
            Mode::ForcedOpen => Tick::MAX,
            _ => 0,
        }
    }

    /// Asks to admit a call.
    pub(crate) fn admit(&mut self, now: Tick) -> (Admission, Option<Change>) {
        match self.mode {
            Mode::ForcedOpen => (self.refusal(Tick::MAX), None),
            Mode::Open if now < self.until => (self.refusal(self.until), None),
            Mode::Open => {
                let change = self.enter(Mode::HalfOpen, Cause::OpenTimeOver, now);
                (self.admit_probe(now), Some(change))
            }
            Mode::HalfOpen => (self.admit_probe(now), None),
            Mode::Ramping => (self.admit_ramping(now), None),
            Mode::Closed | Mode::ForcedClosed | Mode::Disabled | Mode::MetricsOnly => {
                (Admission::Admitted(self.ticket(0)), None)
            }
        }
    }

    fn admit_probe(&mut self, now: Tick) -> Admission {
        match self.probes.take(now) {
            Some(probe) => Admission::Admitted(self.ticket(probe)),
            None => self.refusal(self.probes.free_at()),
        }
    }

    fn admit_ramping(&mut self, now: Tick) -> Admission {
        let Some(ramp) = self.readmission.as_mut() else {
            return Admission::Admitted(self.ticket(0));
        };
        if let Some(until) = ramp.refuse(self.since, now) {
            return self.refusal(until);
        }
        if ramp.is_over(self.since, now) {
            // The same generation: the end of the ramp does not make its calls late.
            self.mode = Mode::Closed;
        }
        Admission::Admitted(self.ticket(0))
    }

    const fn refusal(&self, until: Tick) -> Admission {
        Admission::Refused { state: self.mode.state(), until }
    }

    const fn ticket(&self, probe: u64) -> Ticket {
        Ticket { generation: self.generation, probe, started: 0 }
    }

    /// Reports the outcome of a call. `jitter` is a random number in [0, 1).
    pub(crate) fn report(
        &mut self,
        ticket: Ticket,
        report: Report,
        now: Tick,
        jitter: f64,
    ) -> Result<Option<Change>, Late> {
        if ticket.generation != self.generation {
            return Err(Late);
        }
        if ticket.probe != 0 {
            let held = self.probes.give_back(ticket.probe, now);
            return if held { Ok(self.report_probe(report, now, jitter)) } else { Err(Late) };
        }
        Ok(match self.mode {
            Mode::Closed | Mode::Ramping => self.report_judged(report, now).map(|cause| {
                self.open_time.restart();
                self.open(cause, now, jitter)
            }),
            Mode::MetricsOnly => self.report_judged(report, now).and_then(|cause| {
                let first = !std::mem::replace(&mut self.announced, true);
                first.then_some(Change::WouldOpen { cause })
            }),
            _ => None,
        })
    }

    /// Counts the outcome. Returns the policy that requires an opening, if any.
    fn report_judged(&mut self, report: Report, now: Tick) -> Option<Cause> {
        match report.kind {
            ReportKind::Neutral => return None,
            ReportKind::Success => {
                self.consecutive = 0;
                self.announced &= report.tripped.is_some();
            }
            ReportKind::Failure => {
                self.consecutive = self.consecutive.saturating_add(1);
                self.hear(report.leave_alone, now);
                if self.consecutive >= self.failure_threshold && self.failure_threshold != Config::NEVER {
                    return Some(Cause::ConsecutiveFailures);
                }
            }
        }
        report.tripped
    }

    fn report_probe(&mut self, report: Report, now: Tick, jitter: f64) -> Option<Change> {
        match report.kind {
            ReportKind::Neutral => None,
            ReportKind::Success if !report.slow => {
                self.successes += 1;
                (self.successes >= self.success_threshold).then(|| {
                    let mode = if self.readmission.is_some() { Mode::Ramping } else { Mode::Closed };
                    self.enter(mode, Cause::ProbesSucceeded, now)
                })
            }
            ReportKind::Success | ReportKind::Failure => {
                self.hear(report.leave_alone, now);
                self.open_time.grow();
                Some(self.open(Cause::ProbeFailed, now, jitter))
            }
        }
    }

    fn hear(&mut self, leave_alone: Tick, now: Tick) {
        if leave_alone > 0 {
            self.leave_alone_until = self.leave_alone_until.max(now.saturating_add(leave_alone));
        }
    }

    fn open(&mut self, cause: Cause, now: Tick, jitter: f64) -> Change {
        self.until = now.saturating_add(self.open_time.length(jitter)).max(self.leave_alone_until);
        self.opened += 1;
        self.enter(Mode::Open, cause, now)
    }

    /// Opens a closed breaker on external advice. Returns `None` if it is not closed.
    #[cfg(feature = "fleet")]
    pub(crate) fn open_by_quorum(&mut self, now: Tick, jitter: f64) -> Option<Change> {
        matches!(self.mode, Mode::Closed | Mode::Ramping).then(|| {
            self.open_time.restart();
            self.open(Cause::FleetQuorum, now, jitter)
        })
    }

    /// Lets an open breaker probe now on external advice. Returns `None` if it is not open.
    #[cfg(feature = "fleet")]
    pub(crate) fn probe_now(&mut self, now: Tick) -> Option<Change> {
        (self.mode == Mode::Open).then(|| self.enter(Mode::HalfOpen, Cause::FleetRecovered, now))
    }

    /// Keeps an open breaker from probing before `until`. Its own open time is never shortened.
    #[cfg(feature = "fleet")]
    pub(crate) fn hold_open(&mut self, until: Tick) {
        if self.mode == Mode::Open {
            self.until = self.until.max(until);
        }
    }

    /// Sets the mode by hand. Returns `None` if it is set already.
    pub(crate) fn override_with(&mut self, mode: Mode, now: Tick) -> Option<Change> {
        if self.mode == mode && mode != Mode::Closed {
            return None;
        }
        self.open_time.restart();
        Some(self.enter(mode, Cause::Manual, now))
    }

    /// Every change of state uses this function, so none can omit a new generation.
    fn enter(&mut self, mode: Mode, cause: Cause, now: Tick) -> Change {
        let from = self.mode.state();
        self.mode = mode;
        self.generation += 1;
        self.since = now;
        if !matches!(mode, Mode::Open | Mode::HalfOpen) {
            // An open breaker keeps showing the run that opened it.
            self.consecutive = 0;
        }
        self.successes = 0;
        self.leave_alone_until = 0;
        self.announced = false;
        self.probes.clear();
        if let Some(ramp) = self.readmission.as_mut() {
            ramp.restart();
        }
        let open_for = if mode == Mode::Open { self.until.saturating_sub(now) } else { 0 };
        Change::State { generation: self.generation, from, to: mode.state(), cause, open_for }
    }
}
