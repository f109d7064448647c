//! No path of a call allocates: neither a closed call under any policy, nor a rejection, a probe or
//! a failure.

use picarcade_breaker::{Clock, Config, Recorded, SlowCalls, WindowSize};

use crate::support::{breaker, fail, millis, open, secs, succeed};

fn assert_free(what: &str, call: impl Fn()) {
    // One call before the measurement, for what a thread allocates on its first use of a counter or
    // a random number.
    call();
    let counted = allocation_counter::measure(|| (0..100).for_each(|_| call()));
    assert_eq!(counted.count_total, 0, "{what} allocates");
}

#[test]
fn the_allocation_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1);
}

#[tokio::test]
async fn no_call_allocates() {
    let slow = SlowCalls { longer_than: secs(1), rate: 0.5 };
    let many = Config::default().failure_threshold(Config::NEVER).failure_rate(1.0).slow_calls(slow);
    for (what, config) in [
        ("a closed call", Config::default()),
        ("a call in a time window", many.clone()),
        ("a call in a time window with the cached clock", many.clone().clock(Clock::Cached)),
        ("a call in a count window", many.clone().window(WindowSize::Calls(100))),
    ] {
        let breaker = breaker(config);
        succeed(&breaker);
        assert_free(what, || assert!(succeed(&breaker) == Recorded::Counted));
        assert_free(what, || {
            fail(&breaker);
            succeed(&breaker);
        });
        assert_free(what, || drop(breaker.try_acquire()));
    }
    let rejecting = open(Config::default());
    assert_free("a rejection", || assert!(rejecting.try_acquire().is_err()));
    let forced = breaker(Config::default());
    forced.force_open();
    assert_free("a forced rejection", || assert!(forced.try_acquire().is_err()));

    let probing =
        breaker(Config::default().failure_threshold(1).open_for(millis(1)).success_threshold(u32::MAX));
    fail(&probing);
    let deadline = std::time::Instant::now() + secs(120);
    while !probing.is_available() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_free("a probe", || {
        succeed(&probing);
    });
}
