//! Half-open: exactly N concurrent probes, the earliest possible decision, and no way to get stuck.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use picarcade_breaker::{CircuitBreaker, Clock, Config, Recorded, State};

use crate::support::{advance, fail, millis, open, ready, secs, succeed};

#[tokio::test(start_paused = true)]
async fn closes_after_enough_successes_and_not_before() {
    let breaker = ready(Config::default().success_threshold(3)).await;
    for expected in [State::HalfOpen, State::HalfOpen, State::Closed] {
        assert_eq!(succeed(&breaker), Recorded::Counted);
        assert_eq!(breaker.state(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn one_failure_reopens_at_once_while_other_probes_run() {
    let breaker = ready(Config::default().probes(3)).await;
    let (first, second) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    assert_eq!(first.failure(), Recorded::Counted);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(second.success(), Recorded::Late);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn the_last_needed_success_closes_while_other_probes_run() {
    let breaker = ready(Config::default().probes(3).success_threshold(1)).await;
    let (first, second) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    assert_eq!(first.success(), Recorded::Counted);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(second.failure(), Recorded::Late, "a probe that failed after the verdict reopened");
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_probe_blocks_its_slot_until_its_deadline() {
    let breaker = ready(Config::default().probe_deadline(secs(5))).await;
    std::mem::forget(breaker.try_acquire().unwrap());
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!((rejected.state, rejected.retry_after), (State::HalfOpen, secs(5)));
    assert!(!breaker.is_available());
    advance(secs(5)).await;
    assert!(breaker.is_available());
    assert_eq!(succeed(&breaker), Recorded::Counted);
}

#[tokio::test(start_paused = true)]
async fn lost_probes_never_end_the_probing() {
    let breaker = ready(Config::default().probe_deadline(secs(5))).await;
    for _ in 0..50 {
        std::mem::forget(breaker.try_acquire().expect("stuck half-open"));
        advance(secs(5)).await;
    }
    assert_eq!(succeed(&breaker), Recorded::Counted);
}

#[tokio::test(start_paused = true)]
async fn a_probe_slower_than_its_deadline_does_not_count() {
    let breaker = ready(Config::default().probe_deadline(secs(5)).success_threshold(1)).await;
    let slow = breaker.try_acquire().unwrap();
    advance(secs(5)).await;
    let next = breaker.try_acquire().expect("the slot was free");
    assert_eq!(slow.success(), Recorded::Late);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(breaker.try_acquire().is_err(), "a late probe gave back the slot of its successor");
    assert_eq!(next.success(), Recorded::Counted);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_expired_probe_does_not_count_even_if_its_slot_is_free() {
    let breaker = ready(Config::default().probe_deadline(secs(5))).await;
    let slow = breaker.try_acquire().unwrap();
    advance(secs(5)).await;
    assert_eq!(slow.failure(), Recorded::Late);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn a_canceled_probe_releases_its_slot_and_decides_nothing() {
    let breaker = ready(Config::default().success_threshold(1)).await;
    for _ in 0..10 {
        drop(breaker.try_acquire().unwrap());
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    assert_eq!(breaker.statistics().neutral, 10);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_future_that_is_never_polled_again_loses_its_slot() {
    let breaker = ready(Config::default().probe_deadline(secs(5)).success_threshold(1)).await;
    let mut stuck = Box::pin(breaker.call(std::future::pending::<Result<(), ()>>()));
    let once = std::future::poll_fn(|cx| {
        assert!(stuck.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    });
    once.await;
    assert!(breaker.try_acquire().is_err());
    advance(secs(5)).await;
    assert_eq!(breaker.call(async { Ok::<_, ()>(1) }).await, Ok(1));
    assert_eq!(breaker.state(), State::Closed);
    drop(stuck);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_an_earlier_half_open_state_is_late_in_the_next() {
    let breaker = ready(Config::default().probes(2)).await;
    let old = breaker.try_acquire().unwrap();
    fail(&breaker);
    advance(secs(1000)).await;
    let new = breaker.try_acquire().unwrap();
    assert_eq!(old.failure(), Recorded::Late);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(new.success(), Recorded::Counted);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_get_exactly_the_configured_probes() {
    for probes in [1, 3, 10] {
        let breaker = ready(Config::default().probes(probes)).await;
        let admitted: Vec<_> = (0..1000).filter_map(|_| breaker.try_acquire().ok()).collect();
        assert_eq!(admitted.len(), probes as usize);
        assert_eq!(breaker.statistics().rejected, 1000 - u64::from(probes));
        drop(admitted);
        assert!(breaker.is_available());
    }
}

/// Like the test above, with real threads that start together at the end of the open time.
#[test]
fn a_thousand_threads_get_exactly_the_configured_probes() {
    const PROBES: usize = 3;
    let config =
        Config::default().failure_threshold(1).open_for(millis(1)).probes(PROBES as u32).clock(Clock::Cached);
    let breaker = CircuitBreaker::new("threads", config).unwrap();
    fail(&breaker);
    let deadline = std::time::Instant::now() + secs(120);
    while !breaker.is_available() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    let (admitted, barrier) = (AtomicUsize::new(0), Arc::new(Barrier::new(20)));
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..50 {
                    if let Ok(permit) = breaker.try_acquire() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        std::mem::forget(permit);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.load(Ordering::Relaxed), PROBES);
}

#[tokio::test(start_paused = true)]
async fn the_state_says_half_open_only_when_a_probe_may_pass() {
    let breaker = open(Config::default());
    advance(Duration::from_nanos(59_999_999_999)).await;
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.try_acquire().is_err());
    advance(Duration::from_nanos(1)).await;
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.statistics().state, State::HalfOpen);
    assert!(breaker.is_available());
    assert!(breaker.try_acquire().unwrap().is_probe());
}
