//! A state that was set by hand stays until it is reset by hand.

use picarcade_breaker::{BreakerEvent, Cause, Config, Recorded, State, WindowSize};

use crate::support::{advance, breaker, fail, open, secs, succeed};

#[tokio::test(start_paused = true)]
async fn forced_open_has_no_timer() {
    let breaker = breaker(Config::default());
    breaker.force_open();
    for _ in 0..3 {
        advance(secs(100_000)).await;
        assert_eq!(breaker.state(), State::ForcedOpen);
        assert!(!breaker.is_available());
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!((rejected.state, rejected.retry_after), (State::ForcedOpen, secs(60)));
        assert_eq!(breaker.statistics().retry_after_seconds, None);
    }
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(succeed(&breaker), Recorded::Counted);
}

#[tokio::test(start_paused = true)]
async fn forced_closed_counts_and_never_opens() {
    let breaker = breaker(Config::default().failure_rate(0.1).window(WindowSize::Calls(10)));
    breaker.force_close();
    for _ in 0..100 {
        assert_eq!(fail(&breaker), Recorded::Counted);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    assert_eq!(breaker.statistics().failure, 100);
    breaker.reset();
    fail(&breaker);
    assert_eq!(breaker.state(), State::Closed, "failures from before the reset were judged");
}

#[tokio::test(start_paused = true)]
async fn forced_closed_ends_an_open_state() {
    let breaker = open(Config::default());
    breaker.force_close();
    assert!(breaker.is_available());
    assert_eq!(succeed(&breaker), Recorded::Counted);
}

#[tokio::test(start_paused = true)]
async fn disabled_records_nothing() {
    let breaker = breaker(Config::default().failure_threshold(1));
    breaker.disable();
    assert_eq!(fail(&breaker), Recorded::Ignored);
    assert_eq!(succeed(&breaker), Recorded::Ignored);
    drop(breaker.try_acquire().unwrap());
    let statistics = breaker.statistics();
    assert_eq!((statistics.success, statistics.failure, statistics.neutral), (0, 0, 0));
    assert_eq!(statistics.state, State::Disabled);
}

#[tokio::test(start_paused = true)]
async fn metrics_only_announces_each_run_once_and_rejects_nothing() {
    let breaker = breaker(Config::default().failure_threshold(3));
    breaker.metrics_only();
    let mut events = breaker.subscribe();
    for _ in 0..2 {
        for _ in 0..10 {
            fail(&breaker);
        }
        succeed(&breaker);
    }
    assert_eq!(breaker.state(), State::MetricsOnly);
    for _ in 0..2 {
        let event = events.try_recv().unwrap();
        assert!(
            matches!(event, BreakerEvent::WouldOpen { cause: Cause::ConsecutiveFailures, .. }),
            "{event:?}"
        );
    }
    assert!(events.try_recv().is_err());
    assert_eq!((breaker.statistics().failure, breaker.statistics().opened_count), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn an_override_replaces_another_and_repeating_one_changes_nothing() {
    let breaker = breaker(Config::default());
    let mut events = breaker.subscribe();
    breaker.force_open();
    breaker.force_open();
    breaker.force_close();
    breaker.reset();
    let states: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| match event {
            BreakerEvent::StateChanged { from, to, cause: Cause::Manual, .. } => (from, to),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        states,
        [
            (State::Closed, State::ForcedOpen),
            (State::ForcedOpen, State::ForcedClosed),
            (State::ForcedClosed, State::Closed)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn reset_forgets_the_run_and_keeps_the_totals() {
    let breaker = breaker(Config::default().failure_threshold(3));
    fail(&breaker);
    fail(&breaker);
    breaker.reset();
    fail(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.statistics().failure, 4);
}
