//! Batches: requests that are decided together get the same answers as one after the other.

use std::sync::Arc;
use std::time::Duration;

use picarcade_ratelimit::{Demand, Limit, Limiter, RedisStore, Scope, Subjects, Window};
use picarcade_testkit::RedisServer;
use proptest::prelude::*;

use crate::crowd::{BATCH, PASSED, answers, ask, crowd, hourly, limiter_on};
use crate::redis::{connect, prefix, server};
use crate::setup::{Setup, ada, contract, passes, secs, settle_down, sliding, used};

#[tokio::test]
async fn sixty_four_concurrent_requests_take_three_script_calls() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiter = setup.limiter(contract());
    assert_eq!(answers(crowd(&limiter, 3)).await.len(), 3, "the server knows both scripts now");
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    // The server is stopped until all requests wait: an early answer to the first would change the
    // batches.
    server.pause();
    let crowd = crowd(&limiter, 64);
    settle_down().await;
    server.resume();
    let all = answers(crowd).await;
    assert!(all.iter().all(|answer| *answer == PASSED));
    let calls = 1 + (64_u64 - 1).div_ceil(BATCH as u64);
    // Each call reads its two states once and writes them once. `SET` is not counted, because the
    // probe of the connection uses it.
    let expected = [("evalsha", calls), ("mget", calls), ("setrange", 2 * calls), ("eval", 0), ("hset", 0)];
    for (command, count) in expected {
        assert_eq!(server.calls(command).await.unwrap(), count, "{command}");
    }
    assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (67, 0));
    assert_eq!(used(&limiter, &ada(), "global-requests-3600s").await, (67, 0));
}

#[tokio::test]
async fn a_request_with_no_other_on_its_way_is_sent_at_once() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(100), secs(30)).await;
    for _ in 0..5 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    assert_eq!(
        server.calls("evalsha").await.unwrap() + server.calls("eval").await.unwrap(),
        6,
        "one call sent the unknown script"
    );
}

/// Concurrent requests after a pause, then dollars of one user.
#[derive(Debug, Clone)]
struct Burst {
    pause: u64,
    /// Which of the two limiters that have the same counts and other limits. They do not share a
    /// batch, so only one of them is used at a time.
    second: bool,
    requests: Vec<(u8, u8, u64)>,
    /// A user, an estimate, and the actual cost if it is settled.
    dollars: Option<(u8, u64, Option<u64>)>,
}

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    // The fourth is longer than the time to live of a reservation.
    let pause = prop_oneof![
        Just(0),
        0_u64..900,
        900_u64..40_000,
        Just(950_000_u64),
        Just(3_600_000_u64),
        Just(86_400_000_u64)
    ];
    let requests = prop::collection::vec((0_u8..5, 0_u8..8, 0_u64..3), 0..90);
    let dollars = prop::option::of((0_u8..5, 1_u64..60, prop::option::of(0_u64..90)));
    let burst = (pause, any::<bool>(), requests, dollars);
    prop::collection::vec(
        burst.prop_map(|(pause, second, requests, dollars)| Burst { pause, second, requests, dollars }),
        1..8,
    )
}

/// Creates three limiters that share counts: the second has other amounts, and the third has other
/// windows and a smooth one.
fn three_limiters(setup: &Setup) -> Vec<Limiter> {
    let plan = |user: u64, all: u64| {
        vec![
            Limit::requests(Scope::User, user, sliding(3)),
            Limit::cost(Scope::User, 100, sliding(60)),
            Limit::cost(Scope::Endpoint, 150, Window::UtcDay),
            Limit::requests(Scope::Global, all, sliding(60)),
        ]
    };
    let smooth = Window::Smooth { period: secs(60), burst: 7 };
    let other = vec![
        Limit::requests(Scope::User, 9, sliding(10)),
        Limit::requests(Scope::ApiKey, 40, smooth),
        Limit::requests(Scope::Global, 70, Window::UtcDay),
    ];
    [plan(8, 50), plan(11, 60), other].map(|limits| setup.limiter(limits)).into()
}

fn subjects_of(user: u8, place: u8) -> Subjects<'static> {
    let subjects = Subjects::default().user(format!("user-{user}"));
    let subjects = if place & 1 == 0 { subjects } else { subjects.endpoint("process") };
    if place & 2 == 0 { subjects } else { subjects.api_key("key") }
}

/// Formats everything in a decision.
fn formatted(decision: picarcade_ratelimit::Decision) -> String {
    let text = format!("{:?}", decision.report());
    match decision.denied() {
        Some(denial) => format!("{denial:?}"),
        None => text,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Redis decides concurrent requests exactly as memory decides them one after the other.
    #[test]
    fn a_batch_decides_like_single_requests_in_the_same_order(bursts in bursts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let redis = connect(&server().await.url(), &prefix()).await;
            let (redis, memory) =
                (Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock))), Setup::memory());
            let (here, there) = (three_limiters(&memory), three_limiters(&redis));
            for Burst { pause, second, requests, dollars } in bursts {
                let which = |place: u8| if place & 4 == 0 { 2 } else { usize::from(second) };
                memory.pass(Duration::from_millis(pause));
                redis.pass(Duration::from_millis(pause));
                let mut together = Vec::new();
                for (user, place, amount) in requests.clone() {
                    let limiter = there[which(place)].clone();
                    together.push(tokio::spawn(async move {
                        formatted(limiter.acquire(&subjects_of(user, place), Demand::requests(amount)).await.unwrap())
                    }));
                }
                for ((user, place, amount), answer) in requests.into_iter().zip(together) {
                    let limiter = &here[which(place)];
                    let expected = formatted(limiter.acquire(&subjects_of(user, place), Demand::requests(amount)).await.unwrap());
                    assert_eq!(answer.await.unwrap(), expected);
                }
                if let Some((user, estimate, actual)) = dollars {
                    let mut ends = Vec::new();
                    for limiter in [&here[0], &there[0]] {
                        let decision = limiter.acquire(&subjects_of(user, 1), Demand { requests: 1, cost_micros: estimate }).await.unwrap();
                        let report = format!("{:?}", decision.report());
                        let settled = match (decision.admitted(), actual) {
                            (Some(admission), Some(actual)) => {
                                Some(admission.reservation.settle(actual).await.unwrap())
                            }
                            (Some(admission), None) => {
                                let _ = admission.reservation.detach();
                                None
                            }
                            (None, _) => None,
                        };
                        ends.push((report, settled));
                    }
                    assert_eq!(ends[0], ends[1]);
                }
            }
        });
    }
}

#[tokio::test]
async fn requests_beyond_the_bound_of_waiting_ones_are_decided_locally() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(1_000_000), secs(60)).await;
    assert!(passes(&limiter, &ada(), 1).await);
    server.pause();
    let crowd = crowd(&limiter, 1 + 64 * BATCH + 4096 + 50);
    settle_down().await;
    assert_eq!(crowd.iter().filter(|caller| caller.is_finished()).count(), 50);
    server.resume();
    let all = answers(crowd).await;
    assert!(all.iter().all(|answer| answer.passed));
    assert_eq!(all.iter().filter(|answer| answer.local).count(), 50);
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (2 + 64 * 32 + 4096, 0));
}

#[tokio::test]
async fn requests_of_many_users_form_smaller_batches() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let limits = [hourly(1)[0].clone(), Limit::requests(Scope::Global, 250, sliding(3600))];
    let limiter = Limiter::builder().limits(limits).store(Arc::new(RedisStore::new(redis))).build().unwrap();
    let callers = (0..300).map(|index| ask(&limiter, Subjects::default().user(index.to_string())));
    let all = answers(callers.collect()).await;
    assert!(all.iter().all(|answer| !answer.local));
    assert_eq!(all.iter().filter(|answer| answer.passed).count(), 250);
    // The states of 19 users and the global one are the 20 of a full batch.
    let calls = server.calls("evalsha").await.unwrap() + server.calls("eval").await.unwrap();
    assert!((300 / 19..60).contains(&calls), "{calls}");
}

#[tokio::test]
async fn limiters_with_other_limits_for_one_count_do_not_share_a_batch() {
    let redis = connect(&server().await.url(), &prefix()).await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiters = [40, 60, 80].map(|limit| setup.limiter(hourly(limit)));
    let callers = (0..300).map(|index| ask(&limiters[index % 3], ada()));
    let all = answers(callers.collect()).await;
    assert!(all.iter().all(|answer| !answer.local));
    assert_eq!(all.iter().filter(|answer| answer.passed).count(), 80, "the largest of the limits");
    assert_eq!(used(&limiters[0], &ada(), "user-requests-3600s").await, (80, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_limit_passes_alone_or_in_batches() {
    let (url, prefix) = (server().await.url(), prefix());
    let limits = [
        Limit::requests(Scope::User, 1000, sliding(3600)),
        Limit::requests(Scope::Global, 100, sliding(3600)),
    ];
    let store = Arc::new(RedisStore::new(connect(&url, &prefix).await));
    let limiter = Limiter::builder().limits(limits).store(store).build().unwrap();
    let all = answers(crowd(&limiter, 1000)).await;
    assert!(all.iter().all(|answer| !answer.local));
    assert_eq!(all.iter().filter(|answer| answer.passed).count(), 100);
    assert_eq!(
        used(&limiter, &ada(), "user-requests-3600s").await,
        (100, 0),
        "requests denied by the global limit are not charged"
    );
}
