//! The actions of a fleet on a breaker. Nothing else of the fleet reaches the state machine.

use std::time::Duration;

use crate::{
    CircuitBreaker, State,
    clock::{Tick, ticks},
    machine::{Change, Machine},
};

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
        self.inner.publish(change);
        change.is_some()
    }
}
