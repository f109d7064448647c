//! An outcome of an earlier generation changes nothing, and the caller learns it from the result.

use picarcade_breaker::{CircuitBreaker, Config, Permit, Recorded, State};

use crate::support::{advance, breaker, fail, open, ready, secs, succeed};

type End = fn(Permit<'_>) -> Recorded;
const ENDS: [End; 3] = [|permit| permit.success(), |permit| permit.failure(), |permit| permit.neutral()];

#[tokio::test(start_paused = true)]
async fn a_call_from_before_the_opening_cannot_change_the_open_state() {
    for end in ENDS {
        let breaker = breaker(Config::default().failure_threshold(1));
        let early = breaker.try_acquire().unwrap();
        fail(&breaker);
        let before = breaker.statistics();
        assert_eq!(end(early), Recorded::Late);
        let after = breaker.statistics();
        assert_eq!(after.late, 1);
        assert_eq!((after.state, after.opened_count), (State::Open, 1));
        assert_eq!(
            (after.success, after.failure, after.neutral),
            (before.success, before.failure, before.neutral)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_from_before_the_opening_does_not_count_as_a_probe() {
    for end in ENDS {
        let breaker = breaker(Config::default().failure_threshold(1).success_threshold(1));
        let early = breaker.try_acquire().unwrap();
        fail(&breaker);
        advance(secs(60)).await;
        let probe = breaker.try_acquire().unwrap();
        assert_eq!(end(early), Recorded::Late);
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(breaker.try_acquire().is_err(), "a call that was no probe gave back a probe's slot");
        assert_eq!(probe.success(), Recorded::Counted);
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_an_earlier_closed_state_does_not_count_in_the_next() {
    let config = Config::default().failure_threshold(2).success_threshold(1);
    let breaker = breaker(config);
    let early: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    fail(&breaker);
    fail(&breaker);
    advance(secs(60)).await;
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    for permit in early {
        assert_eq!(permit.failure(), Recorded::Late);
    }
    assert_eq!((breaker.state(), breaker.statistics().consecutive_failures), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn every_override_and_every_reset_begins_a_generation() {
    let overrides: [fn(&CircuitBreaker); 5] = [
        CircuitBreaker::force_open,
        CircuitBreaker::force_close,
        CircuitBreaker::disable,
        CircuitBreaker::metrics_only,
        CircuitBreaker::reset,
    ];
    for set in overrides {
        for end in ENDS {
            let breaker = breaker(Config::default().failure_threshold(1));
            let early = breaker.try_acquire().unwrap();
            set(&breaker);
            assert_eq!(end(early), Recorded::Late);
            let dropped = breaker.statistics();
            assert_eq!((dropped.failure, dropped.opened_count), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_reports_into_an_override_is_late() {
    let breaker = ready(Config::default()).await;
    let probe = breaker.try_acquire().unwrap();
    breaker.force_open();
    assert_eq!(probe.success(), Recorded::Late);
    assert_eq!(breaker.state(), State::ForcedOpen);
}

#[tokio::test(start_paused = true)]
async fn a_late_retry_after_is_ignored() {
    let breaker = open(Config::default());
    breaker.reset();
    let early = breaker.try_acquire().unwrap();
    breaker.reset();
    early.record(picarcade_breaker::Outcome::Failure {
        kind: picarcade_breaker::FailureKind::RateLimited,
        retry_after: Some(secs(1000)),
    });
    fail(&breaker);
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after, secs(60));
}
