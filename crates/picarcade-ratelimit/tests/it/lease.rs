//! Leases: requests debited in advance never exceed the limit, and few of them are unusable.

use std::sync::Arc;
use std::time::Duration;

use picarcade_ratelimit::{Demand, Leases, Limit, Limiter, Scope, Subjects, Window};
use picarcade_testkit::stay_within_one_day;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::remote::Remote;
use crate::setup::{ada, passes, secs, sliding, used};

fn global(limit: u64, window: Window) -> Limit {
    Limit::requests(Scope::Global, limit, window).named("all")
}

fn instance(store: &Arc<Remote>, limits: impl IntoIterator<Item = Limit>, leases: Leases) -> Limiter {
    let builder = Limiter::builder().limits(limits).store(store.store());
    builder.expected_instances(4).leases(leases).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn four_instances_admit_exactly_the_limit_in_the_end() {
    stay_within_one_day();
    let store = Remote::new();
    let limiters =
        [0; 4].map(|_| instance(&store, [global(1000, Window::UtcDay)], Leases::of(["all"]).largest(50)));
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..2000 {
        let limiter = limiters[index % 4].clone();
        tasks.spawn(async move { passes(&limiter, &ada(), 1).await });
    }
    let admitted = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert!(admitted <= 1000, "{admitted}");
    assert!(admitted >= 1000 - 4 * 50, "{admitted}: more is stranded than a chunk for each instance");
    // Held requests come back when the hold ends, as each instance asks again.
    let mut late = 0;
    for _ in 0..3 {
        tokio::time::advance(secs(11)).await;
        for limiter in limiters.iter().cycle().take(400) {
            late += usize::from(passes(limiter, &ada(), 1).await);
        }
    }
    assert_eq!(admitted + late, 1000);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_decisions_take_a_few_requests_to_the_store() {
    let store = Remote::new();
    let limiter = instance(&store, [global(1_000_000, sliding(3600))], Leases::of(["all"]).largest(1000));
    for _ in 0..10_000 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    let asked = store.asked();
    assert!(asked <= 30, "{asked}");
    let held = used(&limiter, &ada(), "all").await.0;
    assert!((10_000..=11_000).contains(&held), "{held}: more than one chunk is out");
}

#[tokio::test(start_paused = true)]
async fn a_denial_by_another_limit_puts_leased_requests_back() {
    let store = Remote::new();
    let limits = [global(100, Window::UtcDay), Limit::requests(Scope::User, 3, Window::UtcDay)];
    let limiter = instance(&store, limits, Leases::of(["all"]));
    for _ in 0..3 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    for _ in 0..50 {
        assert!(!passes(&limiter, &ada(), 1).await);
    }
    let mut others = 0;
    for user in 0..200 {
        others += u64::from(passes(&limiter, &Subjects::default().user(user.to_string()), 1).await);
    }
    assert_eq!(others, 97, "denied requests took nothing from the shared limit");
    let denial = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap().denied().unwrap();
    let names: Vec<_> = denial.violated.iter().map(|status| status.name.to_string()).collect();
    assert_eq!(names, ["user-requests-utc-day", "all"], "both are reported");
}

#[tokio::test(start_paused = true)]
async fn a_killed_holder_loses_at_most_its_chunk() {
    let store = Remote::new();
    let limit = || [global(100, sliding(60))];
    let killed = instance(&store, limit(), Leases::of(["all"]).largest(8));
    for _ in 0..20 {
        assert!(passes(&killed, &ada(), 1).await);
    }
    drop(killed);
    let limiter = instance(&store, limit(), Leases::of(["all"]).largest(1));
    let mut admitted = 20;
    while passes(&limiter, &ada(), 1).await {
        admitted += 1;
    }
    assert!((100 - 8..=100).contains(&admitted), "{admitted}");
    tokio::time::advance(secs(61)).await;
    let mut again = 0;
    while passes(&limiter, &ada(), 1).await {
        again += 1;
    }
    assert_eq!(again, 100, "after the window everything is usable");
}

#[tokio::test]
async fn a_limit_that_cannot_be_leased_is_rejected_by_name() {
    let build = |limit: Limit, leases| {
        Limiter::builder()
            .limit(limit)
            .store(Remote::new().store())
            .leases(leases)
            .build()
            .unwrap_err()
            .to_string()
    };
    let smooth = Window::Smooth { period: secs(60), burst: 3 };
    assert_eq!(build(global(9, Window::UtcDay), Leases::of(["x"])), "limit x: lease is of no limit");
    assert_eq!(build(global(9, smooth), Leases::of(["all"])), "limit all: lease is of a smooth window");
    let dollars = Limit::cost(Scope::User, 9, Window::UtcDay).named("all");
    assert_eq!(build(dollars, Leases::of(["all"])), "limit all: lease is of dollars");
    assert_eq!(build(global(9, Window::UtcDay), Leases::of(["all"]).largest(0)), "largest lease is zero");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three instances with any pauses.
    #[test]
    fn no_true_window_admits_more_than_the_limit(steps in prop::collection::vec((0_u64..2500, 0_usize..3, 1_u64..4), 1..300)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let store = Remote::new();
            let limiters = [0; 3].map(|_| instance(&store, [global(20, sliding(6))], Leases::of(["all"]).largest(6)));
            let mut log: Vec<(Instant, u64)> = Vec::new();
            for (pause, index, amount) in steps {
                tokio::time::advance(Duration::from_millis(pause / 10)).await;
                if passes(&limiters[index], &ada(), amount).await {
                    let now = Instant::now();
                    log.push((now, amount));
                    let window = log.iter().filter(|(at, _)| now - *at < secs(6)).map(|(_, amount)| amount);
                    assert!(window.sum::<u64>() <= 20);
                }
            }
        });
    }
}
