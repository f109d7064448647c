//! The three policies, alone and together; windows that slide.

use picarcade_breaker::{Config, FailureKind, Outcome, Recorded, SlowCalls, State, WindowSize};

use crate::support::{advance, breaker, fail, millis, ready, secs, succeed};

fn rates() -> Config {
    Config::default().failure_threshold(Config::NEVER).minimum_calls(4)
}

#[tokio::test(start_paused = true)]
async fn consecutive_failures_open_and_a_success_ends_the_run() {
    let breaker = breaker(Config::default().failure_threshold(3));
    for _ in 0..10 {
        fail(&breaker);
        fail(&breaker);
        assert_eq!(breaker.statistics().consecutive_failures, 2);
        succeed(&breaker);
        assert_eq!(breaker.statistics().consecutive_failures, 0);
    }
    fail(&breaker);
    fail(&breaker);
    breaker.try_acquire().unwrap().neutral();
    assert_eq!(breaker.state(), State::Closed, "a neutral outcome counted");
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn presets_open_at_their_thresholds() {
    for (name, failures, seconds, successes) in [
        ("openai", 3, 30, 2),
        ("replicate", 5, 45, 2),
        ("anthropic", 5, 60, 3),
        ("runway", 5, 60, 3),
        ("x", 5, 60, 3),
    ] {
        let breaker = breaker(Config::preset(name));
        for _ in 0..failures {
            assert_eq!(breaker.state(), State::Closed);
            fail(&breaker);
        }
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after, secs(seconds), "{name}");
        advance(secs(seconds)).await;
        for _ in 0..successes {
            assert_eq!(breaker.state(), State::HalfOpen);
            succeed(&breaker);
        }
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_rate_is_not_judged_below_the_minimum() {
    let breaker = breaker(rates().failure_rate(0.5));
    for _ in 0..3 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn the_failure_rate_opens_exactly_at_its_threshold() {
    let breaker = breaker(rates().failure_rate(0.5).window(WindowSize::Calls(100)));
    for _ in 0..4 {
        succeed(&breaker);
    }
    for _ in 0..3 {
        fail(&breaker);
        assert_eq!(breaker.state(), State::Closed);
    }
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_success_never_opens() {
    let breaker = breaker(rates().failure_rate(0.5));
    for _ in 0..3 {
        fail(&breaker);
    }
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed, "three of four failed, but it was a success that came");
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_count_window_slides_by_every_call() {
    let breaker = breaker(rates().failure_rate(0.75).window(WindowSize::Calls(4)));
    for _ in 0..100 {
        succeed(&breaker);
    }
    // A window that is emptied every four calls, or never, would give another result here.
    fail(&breaker);
    succeed(&breaker);
    fail(&breaker);
    let window = breaker.statistics().window.unwrap();
    assert_eq!((window.calls, window.failures), (4, 2));
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_time_window_slides_step_by_step() {
    let breaker = breaker(rates().failure_rate(1.0).window(WindowSize::Time(secs(16))));
    for _ in 0..20 {
        succeed(&breaker);
        advance(secs(1)).await;
    }
    let calls = |breaker: &picarcade_breaker::CircuitBreaker| breaker.statistics().window.unwrap().calls;
    assert_eq!(calls(&breaker), 15, "sixteen steps, the newest of which is still empty");
    for left in (0..15).rev() {
        advance(secs(1)).await;
        assert_eq!(calls(&breaker), left);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_failure_does_not_open_with_new_ones() {
    let breaker = breaker(rates().failure_rate(0.5).window(WindowSize::Time(secs(16))));
    for _ in 0..3 {
        fail(&breaker);
    }
    advance(secs(17)).await;
    fail(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    let window = breaker.statistics().window.unwrap();
    assert_eq!((window.calls, window.failures, window.failure_rate), (1, 1, 1.0));
}

#[tokio::test(start_paused = true)]
async fn a_call_longer_than_the_window_counts_when_it_ends() {
    let breaker = breaker(rates().failure_rate(0.5).window(WindowSize::Time(secs(16))));
    let long: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
    advance(secs(100)).await;
    for permit in long {
        assert_eq!(breaker.state(), State::Closed);
        assert!(permit.failure() == Recorded::Counted, "its permit was forgotten with the window");
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_successes_open() {
    let slow = SlowCalls { longer_than: secs(2), rate: 0.5 };
    for window in [WindowSize::Calls(10), WindowSize::Time(secs(600))] {
        let breaker = breaker(rates().slow_calls(slow).window(window));
        for took in [millis(1999), secs(2), millis(10)] {
            let permit = breaker.try_acquire().unwrap();
            advance(took).await;
            permit.success();
        }
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.statistics().window.unwrap().slow, 1);
        let permit = breaker.try_acquire().unwrap();
        advance(secs(3)).await;
        permit.success();
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(breaker.statistics().slow, 2);
        assert_eq!(breaker.statistics().success, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_fails() {
    let slow = SlowCalls { longer_than: secs(2), rate: 0.5 };
    let breaker = ready(Config::default().slow_calls(slow).success_threshold(1)).await;
    let probe = breaker.try_acquire().unwrap();
    advance(secs(2)).await;
    probe.success();
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn any_policy_opens() {
    let slow = SlowCalls { longer_than: secs(2), rate: 0.9 };
    let config = || {
        Config::default()
            .failure_threshold(3)
            .failure_rate(0.5)
            .slow_calls(slow)
            .minimum_calls(10)
            .window(WindowSize::Calls(10))
    };
    // By the run alone, far below the minimum of calls.
    let run = breaker(config());
    for _ in 0..3 {
        fail(&run);
    }
    assert_eq!(run.state(), State::Open);
    // By the failure rate alone: no run is longer than one.
    let rate = breaker(config());
    for _ in 0..5 {
        succeed(&rate);
        fail(&rate);
    }
    assert_eq!(rate.state(), State::Open);
    // By slowness alone: nothing fails.
    let slowness = breaker(config());
    for _ in 0..10 {
        let permit = slowness.try_acquire().unwrap();
        advance(secs(2)).await;
        permit.success();
    }
    assert_eq!(slowness.state(), State::Open);
    assert_eq!(slowness.statistics().failure, 0);
}

#[tokio::test(start_paused = true)]
async fn a_window_is_empty_after_closing() {
    for window in [WindowSize::Calls(10), WindowSize::Time(secs(3600))] {
        let breaker = breaker(rates().failure_rate(0.5).success_threshold(1).window(window));
        for _ in 0..4 {
            fail(&breaker);
        }
        advance(secs(60)).await;
        succeed(&breaker);
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.statistics().window.unwrap().calls, 0, "{window:?}");
        fail(&breaker);
        assert_eq!(breaker.state(), State::Closed, "failures of an earlier era were judged again");
    }
}

#[tokio::test(start_paused = true)]
async fn neutral_outcomes_are_in_no_window() {
    let breaker = breaker(rates().failure_rate(0.5));
    for _ in 0..100 {
        breaker.try_acquire().unwrap().neutral();
    }
    assert_eq!(breaker.statistics().window.unwrap().calls, 0);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn statistics_count_what_happened() {
    let breaker = breaker(Config::default());
    succeed(&breaker);
    breaker.try_acquire().unwrap().record(Outcome::failure(FailureKind::Overloaded));
    drop(breaker.try_acquire().unwrap());
    advance(secs(7)).await;
    let json = serde_json::to_value(breaker.statistics()).unwrap();
    let expected = serde_json::json!({
        "name": "test", "state": "closed",
        "success": 1, "failure": 1, "neutral": 1, "rejected": 0, "slow": 0, "late": 0,
        "consecutive_failures": 1, "window": null, "opened_count": 0,
        "time_in_state_seconds": 7.0, "last_failure": "overloaded", "retry_after_seconds": null,
    });
    assert_eq!(json, expected);
    for _ in 0..4 {
        fail(&breaker);
    }
    assert!(breaker.try_acquire().is_err());
    advance(secs(20)).await;
    let statistics = breaker.statistics();
    assert_eq!((statistics.state, statistics.rejected, statistics.opened_count), (State::Open, 1, 1));
    assert_eq!(statistics.retry_after_seconds, Some(40.0));
    assert_eq!(statistics.consecutive_failures, 5, "the run that opened it can be seen");
    assert_eq!(statistics.last_failure, Some(FailureKind::Other));
}
