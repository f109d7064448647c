//! The contract of a [`FleetView`], which the tests of every view run.

use std::time::Duration;

use picarcade_breaker::fleet::{Ballot, FleetView, VoteCount};
use tokio::time::{Instant, sleep};

/// Checks the contract of a view that has no entries for breakers whose names begin with `prefix`.
///
/// Takes a few seconds of the time of the view, because it waits for entries to expire.
pub async fn check(view: &dyn FleetView, prefix: &str) {
    tallies(view, &format!("{prefix}-tallies")).await;
    expiry(view, &format!("{prefix}-expiry")).await;
    election(view, &format!("{prefix}-election")).await;
    leaving(view, &format!("{prefix}-leaving")).await;
}

const LONG: Duration = Duration::from_secs(240);

/// Long enough that a slow view answers several times before a ballot or a lease expires.
const SHORT: Duration = Duration::from_secs(2);

async fn vote(
    view: &dyn FleetView,
    breaker: &str,
    instance: &str,
    ballot: Ballot,
    ttl: Duration,
) -> VoteCount {
    view.vote(breaker, instance, ballot, ttl).await.expect("the view failed to vote")
}

async fn elect(view: &dyn FleetView, breaker: &str, instance: &str, lease: Duration) -> bool {
    view.elect(breaker, instance, lease).await.expect("the view failed to elect")
}

async fn tallies(view: &dyn FleetView, breaker: &str) {
    let tally = |instances, open, recovered| VoteCount { instances, open, recovered };
    assert_eq!(vote(view, breaker, "a", Ballot::Closed, LONG).await, tally(1, 0, 0));
    assert_eq!(vote(view, breaker, "b", Ballot::Open, LONG).await, tally(2, 1, 0));
    assert_eq!(vote(view, breaker, "c", Ballot::Abstain, LONG).await, tally(3, 1, 0));
    assert_eq!(
        vote(view, breaker, "a", Ballot::Open, LONG).await,
        tally(3, 2, 0),
        "a ballot replaces the one before"
    );
    assert_eq!(vote(view, breaker, "b", Ballot::Recovered, LONG).await, tally(3, 1, 1));
    let other = format!("{breaker}-other");
    assert_eq!(
        vote(view, &other, "a", Ballot::Open, LONG).await,
        tally(1, 1, 0),
        "breakers are counted apart"
    );
}

async fn expiry(view: &dyn FleetView, breaker: &str) {
    let start = Instant::now();
    vote(view, breaker, "dies", Ballot::Open, SHORT).await;
    loop {
        let tally = vote(view, breaker, "lives", Ballot::Closed, LONG).await;
        if tally == (VoteCount { instances: 1, open: 0, recovered: 0 }) {
            break;
        }
        assert!(start.elapsed() < LONG / 2, "a ballot does not expire: {tally:?}");
        sleep(SHORT / 10).await;
    }
    assert!(start.elapsed() >= SHORT, "a ballot expired early");
}

async fn election(view: &dyn FleetView, breaker: &str) {
    let start = Instant::now();
    assert!(elect(view, breaker, "a", SHORT).await);
    assert!(!elect(view, breaker, "b", SHORT).await, "two were elected");
    assert!(elect(view, breaker, "a", LONG).await, "the elected one asks again");
    let other = format!("{breaker}-other");
    assert!(elect(view, &other, "b", LONG).await, "breakers elect apart");
    while !elect(view, breaker, "b", LONG).await {
        assert!(start.elapsed() < LONG / 2, "a lease does not expire, or is prolonged by asking");
        sleep(SHORT / 10).await;
    }
    assert!(start.elapsed() >= SHORT, "a lease expired early");
    assert!(!elect(view, breaker, "a", LONG).await, "two are elected");
}

async fn leaving(view: &dyn FleetView, breaker: &str) {
    vote(view, breaker, "a", Ballot::Open, LONG).await;
    assert!(elect(view, breaker, "a", LONG).await);
    view.leave(breaker, "b").await.expect("the view failed to let a stranger leave");
    assert!(!elect(view, breaker, "b", LONG).await, "a stranger gave up another's lease");
    view.leave(breaker, "a").await.expect("the view failed to let a member leave");
    assert!(elect(view, breaker, "b", LONG).await, "the lease was not given up");
    assert_eq!(
        vote(view, breaker, "b", Ballot::Closed, LONG).await.instances,
        1,
        "the ballot is still there"
    );
}
