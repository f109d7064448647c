//! The decision of a member from what it sees. Pure: no clock and no store.

use tokio::time::Instant;

use super::{
    config::FleetConfig,
    view::{Ballot, VoteCount},
};
use crate::State;

/// The state of the breaker at one check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub(super) now: Instant,
    pub(super) state: State,
    /// How often the breaker has opened.
    pub(super) opened: u64,
    /// When an open breaker would admit a probe; `now` if at once.
    pub(super) probe_at: Instant,
}

/// What to do with the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// Open it: a quorum of others is open.
    Open,
    /// Let it probe now: another instance found that the service has recovered.
    ProbeNow,
    /// Ask whether this instance is the elected prober; if not, hold the breaker.
    StandForElection,
}

#[derive(Debug)]
pub(super) struct Strategy {
    config: FleetConfig,
    /// The number of the opening that a quorum caused.
    followed: Option<u64>,
    recovered_until: Option<Instant>,
    /// Each acts once, when it begins. Afterwards the probes of the breaker are better evidence.
    had_quorum: bool,
    had_recovery: bool,
    /// Since when the breaker is held.
    held_since: Option<Instant>,
}

impl Strategy {
    pub(super) const fn new(config: FleetConfig) -> Self {
        Self {
            config,
            followed: None,
            recovered_until: None,
            had_quorum: false,
            had_recovery: false,
            held_since: None,
        }
    }

    /// Records that the breaker closed by its own probes.
    pub(super) fn recovered(&mut self, now: Instant) {
        self.recovered_until = Some(now + self.config.ballot_ttl());
    }

    /// Records that the breaker opened on advice; the argument is the number of the opening.
    pub(super) const fn followed(&mut self, opened: u64) {
        self.followed = Some(opened);
    }

    pub(super) fn ballot(&self, observed: Observation) -> Ballot {
        match observed.state {
            State::Open | State::HalfOpen if self.followed == Some(observed.opened) => Ballot::Abstain,
            State::Open | State::HalfOpen => Ballot::Open,
            State::Closed if self.recovered_until.is_some_and(|until| observed.now < until) => {
                Ballot::Recovered
            }
            State::Closed => Ballot::Closed,
            _ => Ballot::Abstain,
        }
    }

    pub(super) fn decide(&mut self, tally: VoteCount, observed: Observation) -> Action {
        let quorum = tally.open >= self.config.quorum_minimum
            && tally.open as f64 >= self.config.quorum * tally.instances as f64;
        let quorum_begins = quorum && !std::mem::replace(&mut self.had_quorum, quorum);
        let recovery = tally.recovered > 0;
        let recovery_begins = recovery && !std::mem::replace(&mut self.had_recovery, recovery);
        (self.had_quorum, self.had_recovery) = (quorum, recovery);
        match observed.state {
            // A reported recovery outweighs ballots that are about to change.
            State::Closed if quorum_begins && !recovery => Action::Open,
            State::Open | State::HalfOpen if recovery_begins => Action::ProbeNow,
            // Before the end of the open time, so that the hold is active in time.
            State::Open | State::HalfOpen if observed.probe_at <= observed.now + self.config.interval * 2 => {
                Action::StandForElection
            }
            _ => Action::Nothing,
        }
    }

    /// Not elected: returns until when to hold the breaker, if it may still be held.
    pub(super) fn hold_until(&mut self, observed: Observation) -> Option<Instant> {
        let since = *self.held_since.get_or_insert(observed.now);
        let end = since + self.config.hold_max;
        (observed.now < end).then(|| end.min(observed.now + self.config.interval * 3))
    }

    /// Elected, or no longer open: the next hold starts again.
    pub(super) const fn release(&mut self) {
        self.held_since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn observe(state: State) -> Observation {
        let now = Instant::now();
        Observation { now, state, opened: 1, probe_at: now + Duration::from_secs(60) }
    }

    fn tally(instances: u64, open: u64, recovered: u64) -> VoteCount {
        VoteCount { instances, open, recovered }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quorum_needs_its_share_and_its_minimum() {
        for (instances, open, expected) in [
            (2, 1, Action::Nothing),
            (1, 1, Action::Nothing),
            (4, 2, Action::Open),
            (5, 2, Action::Nothing),
            (5, 3, Action::Open),
        ] {
            let mut strategy = Strategy::new(FleetConfig::new("a"));
            assert_eq!(
                strategy.decide(tally(instances, open, 0), observe(State::Closed)),
                expected,
                "{open}/{instances}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quorum_and_a_recovery_act_when_they_begin() {
        let mut strategy = Strategy::new(FleetConfig::new("a"));
        assert_eq!(strategy.decide(tally(3, 2, 0), observe(State::Closed)), Action::Open);
        assert_eq!(strategy.decide(tally(3, 2, 0), observe(State::Closed)), Action::Nothing);
        assert_eq!(strategy.decide(tally(3, 0, 1), observe(State::Open)), Action::ProbeNow);
        assert_eq!(strategy.decide(tally(3, 0, 1), observe(State::Open)), Action::Nothing);
        assert_eq!(strategy.decide(tally(3, 2, 0), observe(State::Closed)), Action::Open, "a new outage");
    }

    #[tokio::test(start_paused = true)]
    async fn ballots_report_only_own_evidence() {
        let mut strategy = Strategy::new(FleetConfig::new("a"));
        assert_eq!(strategy.ballot(observe(State::Open)), Ballot::Open);
        strategy.followed(1);
        assert_eq!(strategy.ballot(observe(State::Open)), Ballot::Abstain);
        assert_eq!(
            strategy.ballot(Observation { opened: 2, ..observe(State::Open) }),
            Ballot::Open,
            "its own probe failed"
        );
        assert_eq!(strategy.ballot(observe(State::ForcedOpen)), Ballot::Abstain);
        strategy.recovered(Instant::now());
        assert_eq!(strategy.ballot(observe(State::Closed)), Ballot::Recovered);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(strategy.ballot(observe(State::Closed)), Ballot::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_ends() {
        let mut strategy =
            Strategy::new(FleetConfig { hold_max: Duration::from_secs(5), ..FleetConfig::new("a") });
        let start = Instant::now();
        assert_eq!(strategy.hold_until(observe(State::Open)), Some(start + Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(strategy.hold_until(observe(State::Open)), Some(start + Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(strategy.hold_until(observe(State::Open)), None);
        strategy.release();
        assert!(strategy.hold_until(observe(State::Open)).is_some());
    }
}
