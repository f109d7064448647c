//! Waits for counters of a recorder. Each reading must balance, so a test that waits also checks
//! the sum of the counters all the time.

use std::time::Duration;

use picarcade_analytics::{Counters, Recorder};

/// Waits for the wanted counters in a test with paused time, which advances while all tasks wait.
pub async fn until(recorder: &Recorder, wanted: impl Fn(&Counters) -> bool) -> Counters {
    for _ in 0..100_000 {
        if let Some(counters) = balanced(recorder, &wanted) {
            return counters;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {:?}", recorder.counters());
}

/// Waits for the wanted counters in a test with real time, for 180 s at most.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub async fn until_in_real_time(
    recorder: &Recorder,
    what: &str,
    wanted: impl Fn(&Counters) -> bool,
) -> Counters {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(180);
    loop {
        if let Some(counters) = balanced(recorder, &wanted) {
            return counters;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", recorder.counters());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Returns the counters if they are the wanted ones. Panics if they do not balance.
fn balanced(recorder: &Recorder, wanted: &impl Fn(&Counters) -> bool) -> Option<Counters> {
    let counters = recorder.counters();
    assert!(counters.is_balanced(), "{counters:?}");
    wanted(&counters).then_some(counters)
}
