//! Limits distributed over shards: the same contract, and no script over two slots.

use std::sync::Arc;

use picarcade_ratelimit::{
    Demand, Leases, Limit, Limiter, MemoryStore, Outcome, Scope, Shards, Store, Subjects, Window,
};

use proptest::prelude::*;
use tokio::time::Instant;

use crate::setup::{ada, denied, passes, secs, sliding, spends, used};

pub fn limits() -> [Limit; 5] {
    [
        Limit::requests(Scope::User, 20, Window::UtcDay),
        Limit::cost(Scope::User, 1000, Window::UtcDay),
        Limit::requests(Scope::Endpoint, 5000, Window::UtcDay),
        Limit::requests(Scope::Global, 300, Window::UtcDay),
        Limit::cost(Scope::Global, 1500, Window::UtcDay),
    ]
}

/// Checks the contract with two instances on the same shards.
pub async fn fulfills_the_contract(shards: Shards) {
    let build = || {
        let leases = Leases::of::<String>([]).largest(20);
        Limiter::builder()
            .limits(limits())
            .shards(shards.clone())
            .leases(leases)
            .expected_instances(2)
            .build()
            .unwrap()
    };
    let (here, there) = (build(), build());

    // Dollars: the limit of the user, the global limit, and the release after a denial by one of
    // them.
    assert!(spends(&here, &ada(), 900).await);
    assert_eq!(denied(&there, &ada(), 0, 101).await.violated[0].name, "user-cost-utc-day");
    assert_eq!(used(&there, &ada(), "global-cost-utc-day").await, (900, 0), "the shared part was released");
    let bob = Subjects::default().user("bob");
    let both = denied(&there, &bob, 0, 1001).await;
    let names: Vec<_> = both.violated.iter().map(|status| status.name.to_string()).collect();
    assert_eq!(names, ["user-cost-utc-day", "global-cost-utc-day"]);
    assert_eq!(denied(&there, &bob, 0, 601).await.violated[0].name, "global-cost-utc-day");
    let id =
        there.acquire(&bob, Demand::cost_micros(600)).await.unwrap().admitted().unwrap().reservation.detach();
    assert_eq!(used(&here, &bob, "global-cost-utc-day").await, (1500, 600));
    assert!(!spends(&here, &Subjects::default(), 1).await, "also without a user");
    let settled = here.settle(&id, 100).await.unwrap();
    assert_eq!((settled.outcome, settled.charged_micros), (Outcome::Settled, 100));
    assert!(there.settle(&id, 100).await.unwrap().repeated);
    assert_eq!(used(&there, &bob, "global-cost-utc-day").await, (1000, 0));
    assert_eq!(used(&there, &bob, "user-cost-utc-day").await, (100, 0));

    // Requests of users in all shards, concurrently from both instances.
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..1000 {
        let limiter = if index % 2 == 0 { here.clone() } else { there.clone() };
        let user = format!("user-{}", index % 25);
        tasks.spawn(async move { passes(&limiter, &Subjects::default().user(user).endpoint("e"), 1).await });
    }
    let admitted = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert!((300 - 2 * 20..=300).contains(&admitted), "{admitted}");
    assert!(used(&here, &ada(), "global-requests-utc-day").await.0 <= 300);
    assert!(here.mode() == there.mode() && here.statistics().mode_changes == 0);
}

fn in_memory(users: usize) -> Shards {
    let store = || Arc::new(MemoryStore::new(1000, 1000)) as Arc<dyn Store>;
    Shards::new(store(), (0..users).map(|_| store()).collect())
}

#[tokio::test(start_paused = true)]
async fn shards_in_memory_fulfill_the_contract() {
    fulfills_the_contract(in_memory(7)).await;
}

#[tokio::test(start_paused = true)]
async fn a_denied_user_takes_nothing_from_the_global_limit() {
    let limiter = Limiter::builder().limits(limits()).shards(in_memory(3)).build().unwrap();
    let mut admitted = 0;
    for _ in 0..100 {
        admitted += u64::from(passes(&limiter, &ada(), 1).await);
    }
    assert_eq!(admitted, 20);
    tokio::time::advance(secs(11)).await;
    let mut others = 0;
    for index in 0..1000 {
        let user = format!("user-{}", index % 50);
        others += u64::from(passes(&limiter, &Subjects::default().user(user), 1).await);
    }
    assert_eq!(others, 280);
}

#[test]
fn a_limit_that_cannot_be_sharded_is_rejected_by_name() {
    let message = |builder: picarcade_ratelimit::LimiterBuilder| builder.build().unwrap_err().to_string();
    let builder = || Limiter::builder().limits(limits());
    assert_eq!(message(builder().shards(in_memory(0))), "shards are not from 1 to 255");
    let both = builder().shards(in_memory(1)).store(Arc::new(MemoryStore::new(1, 1)));
    assert_eq!(message(both), "shards and a store cannot both be given");
    let smooth = Limit::requests(Scope::Global, 9, Window::Smooth { period: secs(9), burst: 2 });
    assert_eq!(
        message(builder().limit(smooth).shards(in_memory(1))),
        "limit global-requests-9s-smooth: lease is of a smooth window"
    );
    assert!(
        builder()
            .limit(Limit::requests(Scope::ApiKey, 9, sliding(60)))
            .shards(in_memory(255))
            .build()
            .is_ok()
    );
}

/// An admitted request.
struct Entry {
    at: Instant,
    user: u8,
    requests: u64,
    micros: u64,
}

/// Returns the requests and dollars of a user, or of all users, within `window` before `now`.
fn within(log: &[Entry], user: Option<u8>, now: Instant, window: std::time::Duration) -> (u64, u64) {
    let recent = log.iter().filter(|entry| now - entry.at < window);
    let theirs = recent.filter(|entry| user.is_none_or(|user| entry.user == user));
    theirs.fold((0, 0), |(requests, micros), entry| (requests + entry.requests, micros + entry.micros))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two instances on the same shards, compared with a log. No true window admits more than any
    /// limit. The limits of a user are exact, so they deny no request that has room.
    #[test]
    fn shards_decide_like_the_log(
        steps in prop::collection::vec((0_u64..1500, 0_u8..4, 0_usize..2, 0_u64..4, prop_oneof![Just(0), 1_u64..40]), 1..200),
        narrow in any::<bool>(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let shared = if narrow { (15, 150) } else { (100_000, 1_000_000) };
            let limits = [
                Limit::requests(Scope::User, 10, sliding(6)),
                Limit::cost(Scope::User, 100, sliding(6)),
                Limit::requests(Scope::Global, shared.0, sliding(6)),
                Limit::cost(Scope::Global, shared.1, sliding(6)),
            ];
            let shards = in_memory(3);
            let limiters = [0; 2].map(|_| {
                let leases = Leases::of::<String>([]).largest(4);
                Limiter::builder().limits(limits.clone()).shards(shards.clone()).leases(leases).build().unwrap()
            });
            let mut log: Vec<Entry> = Vec::new();
            for (pause, user, instance, requests, micros) in steps {
                tokio::time::advance(std::time::Duration::from_millis(pause / 5)).await;
                let now = Instant::now();
                let name = user.to_string();
                let subjects = Subjects::default().user(&name);
                let decision = limiters[instance].acquire(&subjects, Demand { requests, cost_micros: micros }).await.unwrap();
                // No call waits, so the answer is of the same time.
                assert_eq!(Instant::now(), now);
                if let Some(admission) = decision.admitted() {
                    let _ = admission.reservation.detach();
                    log.push(Entry { at: now, user, requests, micros });
                    let (own, all) = (within(&log, Some(user), now, secs(6)), within(&log, None, now, secs(6)));
                    assert!(own.0 <= 10 && own.1 <= 100, "{own:?}");
                    assert!(all.0 <= shared.0 && all.1 <= shared.1, "{all:?}");
                } else if !narrow {
                    let (used, spent) = within(&log, Some(user), now, std::time::Duration::from_millis(6100));
                    assert!(used + requests > 10 || spent + micros > 100, "denied with {used} and {spent}");
                }
            }
        });
    }
}
