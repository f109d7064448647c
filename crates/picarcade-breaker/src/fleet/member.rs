//! The task that votes for a breaker, reads the votes, and steers the breaker.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{Receiver, error::TryRecvError},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, timeout},
};

use super::{
    config::FleetConfig,
    strategy::{Action, Observation, Strategy},
    view::{FleetError, FleetView},
};
use crate::{
    BreakerEvent, Cause, CircuitBreaker, ConfigError, State,
    clock::{Tick, ticks},
    machine::{Change, Machine},
};

/// The membership of a breaker in a fleet. Dropping it ends the membership: the breaker continues
/// alone, and its ballot expires. [`leave`](Self::leave) removes the ballot at once.
#[derive(Debug)]
pub struct FleetMember {
    breaker: CircuitBreaker,
    view: Arc<dyn FleetView>,
    config: FleetConfig,
    task: JoinHandle<()>,
}

impl FleetMember {
    /// Joins the fleet, in a task on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] with the wrong field.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn join(
        breaker: CircuitBreaker,
        view: Arc<dyn FleetView>,
        config: FleetConfig,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let steering = Steering {
            events: breaker.subscribe(),
            breaker: breaker.clone(),
            view: Arc::clone(&view),
            strategy: Strategy::new(config.clone()),
            config: config.clone(),
        };
        let task = tokio::spawn(steering.run());
        Ok(Self { breaker, view, config, task })
    }

    /// Ends the membership and removes the ballot.
    ///
    /// # Errors
    ///
    /// Returns [`FleetError`] if the ballot could not be removed. The membership has ended in any
    /// case.
    pub async fn leave(self) -> Result<(), FleetError> {
        self.task.abort();
        self.view.leave(self.breaker.name(), &self.config.instance).await
    }
}

impl Drop for FleetMember {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Steering {
    breaker: CircuitBreaker,
    view: Arc<dyn FleetView>,
    config: FleetConfig,
    strategy: Strategy,
    events: Receiver<BreakerEvent>,
}

impl Steering {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.config.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A view that fails or hangs counts as absent. The next tick tries again.
            let _absent = timeout(self.config.interval, self.step()).await;
        }
    }

    async fn step(&mut self) -> Result<(), FleetError> {
        self.read_events();
        let observed = self.observe();
        if !matches!(observed.state, State::Open | State::HalfOpen) {
            self.strategy.release();
        }
        let (name, instance) = (self.breaker.name(), &*self.config.instance);
        let ballot = self.strategy.ballot(observed);
        let tally = self.view.vote(name, instance, ballot, self.config.ballot_ttl()).await?;
        match self.strategy.decide(tally, observed) {
            Action::Nothing => {}
            Action::Open => {
                if self.breaker.open_by_quorum() {
                    self.strategy.followed(self.observe().opened);
                }
            }
            Action::ProbeNow => {
                self.breaker.probe_now();
            }
            Action::StandForElection => {
                if self.view.elect(name, instance, self.config.lease).await? {
                    self.strategy.release();
                } else if let Some(until) = self.strategy.hold_until(observed) {
                    self.breaker.hold_open(until.saturating_duration_since(Instant::now()));
                }
            }
        }
        Ok(())
    }

    /// Returns what happened to the breaker since the last check. Missed events are not
    /// reconstructed.
    fn read_events(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(BreakerEvent::StateChanged { cause: Cause::ProbesSucceeded, .. }) => {
                    self.strategy.recovered(Instant::now());
                }
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn observe(&self) -> Observation {
        let (state, opened, wait) = self.breaker.snapshot();
        let now = Instant::now();
        Observation { now, state, opened, probe_at: now + wait }
    }
}

/// The actions of a fleet on a breaker. Nothing else of the fleet reaches the state machine.
impl CircuitBreaker {
    /// Opens a closed breaker because a quorum of other instances did. Returns whether it opened.
    fn open_by_quorum(&self) -> bool {
        self.steer(|machine, now| machine.open_by_quorum(now, fastrand::f64()))
    }

    /// Lets an open breaker probe at once because another instance found that the service
    /// recovered. Returns whether the state changed.
    fn probe_now(&self) -> bool {
        self.steer(Machine::probe_now)
    }

    /// Keeps an open breaker from probing for `time` because another instance probes.
    fn hold_open(&self, time: Duration) {
        self.steer(|machine, now| {
            machine.hold_open(now.saturating_add(ticks(time)));
            None
        });
    }

    /// Returns the state, the number of openings, and the time until a probe may pass.
    fn snapshot(&self) -> (State, u64, Duration) {
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
