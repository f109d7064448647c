//! Configurations in files.

use std::time::Duration;

use picarcade_breaker::{Backoff, CircuitBreaker, Clock, Config, Ramp, SlowCalls, WindowSize};
use proptest::{option, prelude::*};

fn read(json: &str) -> Result<Config, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn times() -> impl Strategy<Value = Duration> {
    (0_u64..10_000_000, 0_u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn windows() -> impl Strategy<Value = WindowSize> {
    prop_oneof![any::<u32>().prop_map(WindowSize::Calls), times().prop_map(WindowSize::Time)]
}

/// Fractions that a double and its decimal text have in common.
fn shares() -> impl Strategy<Value = f64> {
    (0_u32..=64).prop_map(|part| f64::from(part) / 64.0)
}

prop_compose! {
    fn policies()(
        failure_threshold in any::<u32>(),
        open_for in times(),
        window in windows(),
        failure_rate in option::of(shares()),
        slow_calls in option::of((times(), shares())),
        hung_after in option::of(times()),
        backoff in (shares(), times(), shares()),
        ramp in option::of((times(), shares())),
        clock in prop_oneof![Just(Clock::Tokio), Just(Clock::Cached)],
        event_capacity in 0_usize..1 << 40,
    ) -> Config {
        let (factor, max, jitter) = backoff;
        Config {
            failure_threshold,
            open_for,
            window,
            failure_rate,
            slow_calls: slow_calls.map(|(longer_than, rate)| SlowCalls { longer_than, rate }),
            hung_after,
            backoff: Backoff { factor, max, jitter },
            ramp: ramp.map(|(over, from)| Ramp { over, from }),
            clock,
            event_capacity,
            ..Config::default()
        }
    }
}

proptest! {
    #[test]
    fn a_configuration_is_read_back_from_json(config in policies()) {
        let json = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(read(&json), Ok(config));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>(), field in "[a-z_]{1,20}") {
        let _ = read(&text);
        let _ = read(&serde_json::json!({ "open_for": text }).to_string());
        let _ = read(&serde_json::json!({ field: text }).to_string());
    }
}

#[test]
fn absent_fields_have_their_defaults() {
    assert_eq!(read("{}"), Ok(Config::default()));
    let config = read(r#"{"backoff": {"factor": 3.0}, "window": {"calls": 20}}"#).unwrap();
    assert_eq!(config.backoff, Backoff { factor: 3.0, ..Backoff::default() });
    assert_eq!(config.window, WindowSize::Calls(20));
}

#[test]
fn unknown_fields_and_wrong_values_are_errors() {
    for (json, problem) in [
        (r#"{"failure_treshold": 3}"#, "unknown field `failure_treshold`"),
        (r#"{"backoff": {"base": 3}}"#, "unknown field `base`"),
        (r#"{"slow_calls": {"rate": 0.5}}"#, "missing field `longer_than`"),
        (r#"{"ramp": {"over": "1m", "from": 0.5, "to": 1}}"#, "unknown field `to`"),
        (r#"{"window": {"bytes": 3}}"#, "unknown variant `bytes`"),
        (r#"{"open_for": 60}"#, "expected a duration"),
        (r#"{"open_for": "soon"}"#, "expected a duration"),
        (r#"{"open_for": "-1s"}"#, "expected a duration"),
        (r#"{"open_for": "99999999999999999999h"}"#, "expected a duration"),
        (r#"{"failure_threshold": -1}"#, "invalid value"),
        (r#"{"clock": "wall"}"#, "unknown variant `wall`"),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(problem), "{json}: {error}");
    }
}

#[test]
fn values_out_of_range_are_rejected_by_the_breaker() {
    let config = read(r#"{"open_for": "0s"}"#).unwrap();
    assert_eq!(CircuitBreaker::new("test", config).unwrap_err().field(), Some("open_for"));
}
