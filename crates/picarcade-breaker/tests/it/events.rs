//! Events: bounded, ordered by generation, never blocking a call.

use picarcade_breaker::{BreakerEvent, Cause, Config, State};
use tokio::sync::broadcast::error::TryRecvError;

use crate::support::{advance, breaker, fail, secs, succeed};

#[tokio::test(start_paused = true)]
async fn every_change_of_a_full_cycle_is_an_event() {
    let breaker = breaker(Config::default().failure_threshold(1).success_threshold(1));
    let mut events = breaker.subscribe();
    fail(&breaker);
    advance(secs(60)).await;
    succeed(&breaker);
    let reported: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| match event {
            BreakerEvent::StateChanged { generation, from, to, cause, open_for, .. } => {
                (generation, from, to, cause, open_for)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reported,
        [
            (2, State::Closed, State::Open, Cause::ConsecutiveFailures, Some(secs(60))),
            (3, State::Open, State::HalfOpen, Cause::OpenTimeOver, None),
            (4, State::HalfOpen, State::Closed, Cause::ProbesSucceeded, None),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_misses_the_oldest_events_and_learns_how_many() {
    let breaker = breaker(Config::default().event_capacity(4));
    let mut events = breaker.subscribe();
    for _ in 0..5 {
        breaker.force_open();
        breaker.reset();
    }
    assert_eq!(events.try_recv(), Err(TryRecvError::Lagged(6)));
    assert_eq!(std::iter::from_fn(|| events.try_recv().ok()).count(), 4);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn events_serialize() {
    let breaker = breaker(Config::default());
    let mut events = breaker.subscribe();
    breaker.force_open();
    let json = serde_json::to_value(events.try_recv().unwrap()).unwrap();
    let expected = serde_json::json!({
        "event": "state_changed", "name": "test", "generation": 2,
        "from": "closed", "to": "forced_open", "cause": "manual", "open_for_seconds": null,
    });
    assert_eq!(json, expected);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_may_use_the_breaker_of_its_event() {
    let breaker = breaker(Config::default().failure_threshold(1));
    let mut events = breaker.subscribe();
    let listener = {
        let breaker = breaker.clone();
        tokio::spawn(async move {
            let _ = events.recv().await.unwrap();
            breaker.reset();
            breaker.state()
        })
    };
    fail(&breaker);
    assert_eq!(listener.await.unwrap(), State::Closed);
}
