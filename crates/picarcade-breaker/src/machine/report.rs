//! The inputs and outputs of the machine.

use crate::{Cause, State, clock::Tick};

/// What an admitted call carries until it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) generation: u64,
    /// The number of the probe; zero for a call that is no probe.
    pub(crate) probe: u64,
    /// When the call began; zero if not needed.
    pub(crate) started: Tick,
}

/// An outcome with the verdicts of the windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) kind: ReportKind,
    /// The verdict of a rate policy about the window that includes this outcome.
    pub(crate) tripped: Option<Cause>,
    /// The call was slow by the slow-call policy.
    pub(crate) slow: bool,
    /// Whether and how long the service asked to be left alone.
    pub(crate) leave_alone: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportKind {
    Success,
    Failure,
    Neutral,
}

/// A change that happened, published after the lock is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    State { generation: u64, from: State, to: State, cause: Cause, open_for: Tick },
    WouldOpen { cause: Cause },
}

/// The answer to a call that asks for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted(Ticket),
    /// Not before this tick.
    Refused {
        state: State,
        until: Tick,
    },
}

/// The outcome was late and changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;
