//! The actions of a fleet on a breaker. Nothing else of the fleet reaches the state machine.

use std::time::Duration;

use crate::{
    CircuitBreaker, State,
    clock::{Tick, ticks},
    machine::{Change, Machine},
};

impl CircuitBreaker {
    /// Opens a closed breaker because a quorum of other instances did. Returns whether it opened.
    pub(crate) fn open_by_quorum(&self) -> bool {
        self.steer(|machine, now| machine.open_by_quorum(now, fastrand::f64()))
    }

    /// Lets an open breaker probe at once because another instance found that the service
    /// recovered. Returns whether the state changed.
    pub(crate) fn probe_now(&self) -> bool {
        self.steer(Machine::probe_now)
    }

    /// Keeps an open breaker from probing for `time` because another instance probes.
    pub(crate) fn hold_open(&self, time: Duration) {
        self.steer(|machine, now| {
            machine.hold_open(now.saturating_add(ticks(time)));
            None
        });
    }

    /// Returns the state, the number of openings, and the time until a probe may pass.
    pub(crate) fn snapshot(&self) -> (State, u64, Duration) {
        let snapshot = self.inner.gate.snapshot();
        let now = self.inner.timer.now();
        let state = snapshot.word.mode().state();
        let wait = if state == State::ForcedOpen { 0 } else { snapshot.refuse_before.saturating_sub(now) };
        (state, snapshot.opened, Duration::from_nanos(wait))
    }

    fn steer(&self, f: impl FnOnce(&mut Machine, Tick) -> Option<Change>) -> bool {
        let now = self.inner.timer.now();
        let change = self.inner.gate.change(|machine| f(machine, now));
        self.inner.publish(change);
        change.is_some()
    }
}
