//! Requests that are decided together: the same answers as one after the other, and each caller's trouble its own.
//!
//! On a runtime of one thread the order is known: the first goes by itself, each 32 who come then go together at once, and
//! those who are left go when the first is answered, or has left. A stopped server shows all of it under way.

use std::sync::Arc;
use std::time::Duration;

use picarcade_ratelimit::{Limit, Limiter, Mode, RedisStore, Scope, Store, Subjects, Window};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::{Fault, FaultProxy, RedisServer};
use proptest::prelude::*;
use tokio::task::JoinHandle;

use crate::redis::{connect, connect_within, prefix, server, until};
use crate::setup::{Setup, ada, contract, passes, secs, sliding, spends, used};

/// The most that go together.
const TOGETHER: usize = 32;

/// Lets every task that can run do so.
async fn settle_down() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// What one of a crowd heard: whether it passed, and whether it was decided here.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    passed: bool,
    local: bool,
}

/// `count` requests of one user at once, in this order.
fn crowd(limiter: &Limiter, count: usize) -> Vec<JoinHandle<Heard>> {
    let one = |_| {
        let limiter = limiter.clone();
        tokio::spawn(async move {
            let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
            Heard { passed: decision.is_admitted(), local: decision.report().local }
        })
    };
    (0..count).map(one).collect()
}

/// What those who stayed heard.
async fn hear(crowd: Vec<JoinHandle<Heard>>) -> Vec<Heard> {
    let mut heard = Vec::new();
    for caller in crowd {
        match caller.await {
            Ok(answer) => heard.push(answer),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    heard
}

async fn on(server: &RedisServer, limits: impl IntoIterator<Item = Limit>, timeout: Duration) -> Limiter {
    let store = RedisStore::new(connect_within(&server.url(), "own:", timeout).await);
    Limiter::builder().limits(limits).store(Arc::new(store)).expected_instances(4).build().unwrap()
}

fn hourly(limit: u64) -> [Limit; 1] {
    [Limit::requests(Scope::User, limit, sliding(3600))]
}

#[tokio::test]
async fn sixty_four_at_once_are_three_questions() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiter = setup.limiter(contract());
    assert_eq!(hear(crowd(&limiter, 3)).await.len(), 3, "the server knows both scripts from now on");
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    // The server is stopped until all have asked: an early answer to the first would change the batches.
    server.pause();
    let crowd = crowd(&limiter, 64);
    settle_down().await;
    server.resume();
    let heard = hear(crowd).await;
    assert!(heard.iter().all(|heard| *heard == Heard { passed: true, local: false }));
    let questions = 1 + (64_u64 - 1).div_ceil(TOGETHER as u64);
    // Each reads its two states once and writes them once, whoever asked.
    // `SET` is not counted: the connection's own probe is one.
    let all =
        [("evalsha", questions), ("mget", questions), ("setrange", 2 * questions), ("eval", 0), ("hset", 0)];
    for (command, calls) in all {
        assert_eq!(server.calls(command).await.unwrap(), calls, "{command}");
    }
    assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (67, 0));
    assert_eq!(used(&limiter, &ada(), "global-requests-3600s").await, (67, 0));
}

#[tokio::test]
async fn nobody_waits_for_company() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(100), secs(30)).await;
    for _ in 0..5 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    assert_eq!(
        server.calls("evalsha").await.unwrap() + server.calls("eval").await.unwrap(),
        6,
        "one was unknown"
    );
}

/// Several requests at once after a pause, then dollars of one user.
#[derive(Debug, Clone)]
struct Burst {
    pause: u64,
    /// Which of the two that count the same by other limits; they do not go together, and so in no known order.
    second: bool,
    requests: Vec<(u8, u8, u64)>,
    /// A user, an estimate, and the actual cost if it is ever told.
    dollars: Option<(u8, u64, Option<u64>)>,
}

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    // The fourth is more than a reservation lives.
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

/// Three limiters that share counts: the second has other amounts, the third other windows and a smooth one.
fn three(setup: &Setup) -> Vec<Limiter> {
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

fn who(user: u8, place: u8) -> Subjects<'static> {
    let subjects = Subjects::default().user(format!("user-{user}"));
    let subjects = if place & 1 == 0 { subjects } else { subjects.endpoint("process") };
    if place & 2 == 0 { subjects } else { subjects.api_key("key") }
}

/// All that a decision says.
fn said(decision: picarcade_ratelimit::Decision) -> String {
    let text = format!("{:?}", decision.report());
    match decision.denied() {
        Some(denial) => format!("{denial:?}"),
        None => text,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is asked at once of Redis is answered as in memory one after the other, to the last number.
    #[test]
    fn together_is_one_after_the_other(bursts in bursts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let redis = connect(&server().await.url(), &prefix()).await;
            let (redis, memory) =
                (Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock))), Setup::memory());
            let (here, there) = (three(&memory), three(&redis));
            for Burst { pause, second, requests, dollars } in bursts {
                let which = |place: u8| if place & 4 == 0 { 2 } else { usize::from(second) };
                memory.pass(Duration::from_millis(pause));
                redis.pass(Duration::from_millis(pause));
                let mut together = Vec::new();
                for (user, place, amount) in requests.clone() {
                    let limiter = there[which(place)].clone();
                    together.push(tokio::spawn(async move {
                        said(limiter.acquire(&who(user, place), amount, 0).await.unwrap())
                    }));
                }
                for ((user, place, amount), answer) in requests.into_iter().zip(together) {
                    let limiter = &here[which(place)];
                    let expected = said(limiter.acquire(&who(user, place), amount, 0).await.unwrap());
                    assert_eq!(answer.await.unwrap(), expected);
                }
                if let Some((user, estimate, actual)) = dollars {
                    let mut told = Vec::new();
                    for limiter in [&here[0], &there[0]] {
                        let decision = limiter.acquire(&who(user, 1), 1, estimate).await.unwrap();
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
                        told.push((report, settled));
                    }
                    assert_eq!(told[0], told[1]);
                }
            }
        });
    }
}

/// A crowd before a server that is stopped: one by itself and two batches are under way, and 11 wait.
async fn stopped(limiter: &Limiter, server: &RedisServer) -> Vec<JoinHandle<Heard>> {
    // A script that the server does not know yet would have to be sent again.
    assert_eq!(hear(crowd(limiter, 3)).await.len(), 3);
    server.pause();
    let crowd = crowd(limiter, 1 + 2 * TOGETHER + 11);
    settle_down().await;
    crowd
}

#[tokio::test]
async fn a_caller_that_leaves_takes_nobody_with_it() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(1000), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    // Of both batches the first, the last and others; of those who wait, the first and the last.
    for leaves in [1, 2, 20, 32, 33, 64, 65, 75] {
        crowd[leaves].abort();
    }
    settle_down().await;
    server.resume();
    let heard = hear(crowd).await;
    assert_eq!(heard.len(), 76 - 8);
    assert!(heard.iter().all(|heard| *heard == Heard { passed: true, local: false }), "{heard:?}");
    // Those who left before they were sent were never charged; the others stay counted.
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (3 + 76 - 2, 0));
}

#[tokio::test]
async fn when_the_one_who_asked_alone_leaves_those_who_waited_for_it_go() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(1000), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    crowd[0].abort();
    settle_down().await;
    // They are under way now: who leaves after that stays counted.
    crowd[70].abort();
    settle_down().await;
    server.resume();
    let heard = hear(crowd).await;
    assert_eq!(heard.len(), 74);
    assert!(heard.iter().all(|heard| *heard == Heard { passed: true, local: false }), "{heard:?}");
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (3 + 76, 0));
}

#[tokio::test]
async fn a_crowd_that_leaves_leaves_nothing_behind() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(1000), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    // From behind, so that those who wait are gone before anybody makes them go.
    for caller in crowd.iter().rev() {
        caller.abort();
        settle_down().await;
    }
    server.resume();
    assert!(hear(crowd).await.is_empty());
    for _ in 0..3 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (3 + 65 + 3, 0));
}

#[tokio::test]
async fn killed_with_batches_under_way_each_decides_by_its_share() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(80), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    server.kill();
    let heard = hear(crowd).await;
    assert_eq!(heard.len(), 76, "those under way and those who waited");
    assert!(heard.iter().all(|heard| heard.local));
    assert_eq!(heard.iter().filter(|heard| heard.passed).count(), 20, "80 among 4 instances");
    assert_eq!((limiter.mode(), limiter.statistics().mode_changes), (Mode::Local, 1));
    server.restart().await.unwrap();
    until(&limiter, Mode::Exact).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_for_nobody_else() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(1000), secs(3)).await;
    let heard = hear(stopped(&limiter, &server).await).await;
    assert!(heard.iter().all(|heard| heard.local && heard.passed));
    server.resume();
    until(&limiter, Mode::Exact).await;
    let counted = used(&limiter, &ada(), "user-requests-3600s").await.0;
    assert!(counted <= 3 + 65, "{counted}: who was not sent was charged");
}

#[tokio::test]
async fn an_answer_lost_to_a_batch_is_lost_to_each_of_it_and_charged_once() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = connect_within(&proxy.through(&server.url()), "own:", secs(3)).await;
    let limits = [hourly(1000)[0].clone(), Limit::cost(Scope::User, 100, sliding(3600))];
    let store: Arc<dyn Store> = Arc::new(RedisStore::new(redis));
    let limiter = Limiter::builder().limits(limits).store(store).build().unwrap();
    // A script that the server does not know yet would not be run by a question without an answer.
    assert_eq!(hear(crowd(&limiter, 3)).await.len(), 3);
    proxy.set(Fault::LoseReplies).await;
    let heard = hear(crowd(&limiter, 1 + 40)).await;
    assert_eq!(heard.len(), 41);
    assert!(heard.iter().all(|heard| heard.local));
    proxy.set(Fault::Pass).await;
    until(&limiter, Mode::Exact).await;
    assert_eq!(
        used(&limiter, &ada(), "user-requests-3600s").await,
        (3 + 1 + 32, 0),
        "each once that was sent"
    );
    assert!(spends(&limiter, &ada(), 100).await, "no dollars were taken");
}

#[tokio::test]
async fn a_batch_whose_script_is_forgotten_is_sent_again() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(1000), secs(30)).await;
    assert!(hear(crowd(&limiter, 70)).await.iter().all(|heard| !heard.local));
    for _ in 0..3 {
        server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
        assert!(
            hear(crowd(&limiter, 70))
                .await
                .iter()
                .all(|heard| *heard == Heard { passed: true, local: false })
        );
    }
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (280, 0));
}

#[tokio::test]
async fn one_who_cannot_be_asked_for_is_alone_in_it() {
    let server = RedisServer::start().await.unwrap();
    let config = Config {
        prefix: "own:".to_owned(),
        command_timeout: secs(30),
        max_key_bytes: 100,
        ..Config::new(server.url())
    };
    let redis = RedisHandle::connect(config).unwrap();
    redis.ready(secs(120)).await.unwrap();
    let limits = [hourly(3)[0].clone(), Limit::requests(Scope::Global, 1000, sliding(3600))];
    let limiter = Limiter::builder().limits(limits).store(Arc::new(RedisStore::new(redis))).build().unwrap();
    let long = "x".repeat(100);
    let callers = (0..60).map(|index| {
        let (limiter, user) =
            (limiter.clone(), if index % 20 == 7 { long.clone() } else { index.to_string() });
        tokio::spawn(async move {
            let decision = limiter.acquire(&Subjects::default().user(user), 1, 0).await.unwrap();
            Heard { passed: decision.is_admitted(), local: decision.report().local }
        })
    });
    for (index, heard) in hear(callers.collect()).await.into_iter().enumerate() {
        assert_eq!(heard, Heard { passed: true, local: index % 20 == 7 }, "{index}");
    }
    assert_eq!(used(&limiter, &Subjects::default(), "global-requests-3600s").await, (57, 0));
}

#[tokio::test]
async fn what_is_at_a_key_and_not_ours_harms_nobody_else() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiter = setup.limiter([Limit::requests(Scope::User, 5, sliding(60)), contract()[3].clone()]);
    let everybody = async || {
        let callers = (0..40).map(|index| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let user = format!("user-{}", index % 20);
                let decision = limiter.acquire(&Subjects::default().user(user), 1, 0).await.unwrap();
                Heard { passed: decision.is_admitted(), local: decision.report().local }
            })
        });
        assert!(
            hear(callers.collect()).await.iter().all(|heard| *heard == Heard { passed: true, local: false })
        );
    };
    everybody().await;
    let keys = server.command(&["KEYS", "own:*:user:user-1"]).await.unwrap();
    let key = keys.trim().to_owned();
    // A hash where a state should be, strings of many lengths, and a string where the past should be.
    server.command(&["DEL", &key]).await.unwrap();
    server.command(&["HSET", &key, "a", "b"]).await.unwrap();
    for (user, length) in [(2, 1), (3, 28), (4, 59), (5, 5000)] {
        let key = key.replace("user-1", &format!("user-{user}"));
        server.command(&["SET", &key, &"\u{1}".repeat(length)]).await.unwrap();
    }
    server.command(&["SET", &key.replace("user-1", "user-6:p"), "x"]).await.unwrap();
    for _ in 0..2 {
        setup.pass(secs(1));
        everybody().await;
        setup.pass(secs(61));
    }
    assert_eq!(used(&limiter, &Subjects::default(), "global-requests-3600s").await, (120, 0));
}

#[tokio::test]
async fn more_than_may_wait_decide_by_their_share() {
    let server = RedisServer::start().await.unwrap();
    let limiter = on(&server, hourly(1_000_000), secs(60)).await;
    assert!(passes(&limiter, &ada(), 1).await);
    server.pause();
    let crowd = crowd(&limiter, 1 + 64 * TOGETHER + 4096 + 50);
    settle_down().await;
    assert_eq!(crowd.iter().filter(|caller| caller.is_finished()).count(), 50);
    server.resume();
    let heard = hear(crowd).await;
    assert!(heard.iter().all(|heard| heard.passed));
    assert_eq!(heard.iter().filter(|heard| heard.local).count(), 50);
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (2 + 64 * 32 + 4096, 0));
}

/// The task that asks for those who wait lives on the runtime of whoever was answered last.
#[test]
fn a_runtime_that_ends_leaves_nobody_of_another_waiting() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ends, stays) = (runtime(), runtime());
    let (server, limiter) = stays.block_on(async {
        let server = RedisServer::start().await.unwrap();
        let limiter = on(&server, hourly(1000), secs(60)).await;
        assert!(passes(&limiter, &ada(), 1).await);
        (server, limiter)
    });
    server.pause();
    ends.block_on(async {
        drop(crowd(&limiter, 1));
        settle_down().await;
    });
    let waiting = stays.block_on(async {
        let waiting = crowd(&limiter, 5);
        settle_down().await;
        waiting
    });
    drop(ends);
    let heard = stays.block_on(hear(waiting));
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|heard| heard.local), "{heard:?}");
    server.resume();
    stays.block_on(until(&limiter, Mode::Exact));
}

#[tokio::test]
async fn a_crowd_of_strangers_is_decided_in_smaller_batches() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let limits = [hourly(1)[0].clone(), Limit::requests(Scope::Global, 250, sliding(3600))];
    let limiter = Limiter::builder().limits(limits).store(Arc::new(RedisStore::new(redis))).build().unwrap();
    let callers = (0..300).map(|index| {
        let limiter = limiter.clone();
        tokio::spawn(async move {
            let decision = limiter.acquire(&Subjects::default().user(index.to_string()), 1, 0).await.unwrap();
            Heard { passed: decision.is_admitted(), local: decision.report().local }
        })
    });
    let heard = hear(callers.collect()).await;
    assert!(heard.iter().all(|heard| !heard.local));
    assert_eq!(heard.iter().filter(|heard| heard.passed).count(), 250);
    // 19 users and everything are 20 states.
    let questions = server.calls("evalsha").await.unwrap() + server.calls("eval").await.unwrap();
    assert!((300 / 19..60).contains(&questions), "{questions}");
}

#[tokio::test]
async fn limiters_that_differ_over_one_count_do_not_go_together() {
    let redis = connect(&server().await.url(), &prefix()).await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiters = [40, 60, 80].map(|most| setup.limiter(hourly(most)));
    let callers = (0..300).map(|index| {
        let limiter = limiters[index % 3].clone();
        tokio::spawn(async move {
            let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
            Heard { passed: decision.is_admitted(), local: decision.report().local }
        })
    });
    let heard = hear(callers.collect()).await;
    assert!(heard.iter().all(|heard| !heard.local));
    assert_eq!(heard.iter().filter(|heard| heard.passed).count(), 80, "the most that any of them admits");
    assert_eq!(used(&limiters[0], &ada(), "user-requests-3600s").await, (80, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_limit_passes_whoever_decides_it() {
    let (url, prefix) = (server().await.url(), prefix());
    let limits = [
        Limit::requests(Scope::User, 1000, sliding(3600)),
        Limit::requests(Scope::Global, 100, sliding(3600)),
    ];
    let store = Arc::new(RedisStore::new(connect(&url, &prefix).await));
    let limiter = Limiter::builder().limits(limits).store(store).build().unwrap();
    let heard = hear(crowd(&limiter, 1000)).await;
    assert!(heard.iter().all(|heard| !heard.local));
    assert_eq!(heard.iter().filter(|heard| heard.passed).count(), 100);
    assert_eq!(
        used(&limiter, &ada(), "user-requests-3600s").await,
        (100, 0),
        "a later one denied: nothing here"
    );
}
