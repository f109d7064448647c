//! The Redis store on a real server: the common contract, and its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use picarcade_ratelimit::{
    Ask, Demand, Error, ExpenseLedger, Limit, Limiter, Mode, Outcome, Plan, RedisStore, ReservationId, Scope,
    Store, StoreDecision, Subjects, Window,
};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::{Fault, FaultProxy, RedisServer, eventually, stay_within_one_day};
use proptest::prelude::*;
use tokio::sync::OnceCell;

use crate::conformance::conformance;
use crate::setup::{Book, Setup, TTL, ada, contract, passes, secs, sliding, spends, used};

static SERVER: OnceCell<RedisServer> = OnceCell::const_new();

pub async fn server() -> &'static RedisServer {
    SERVER.get_or_init(|| async { RedisServer::start().await.unwrap() }).await
}

/// Connects with a long timeout, so a loaded machine does not look like a lost server.
pub async fn connect(url: &str, prefix: &str) -> RedisHandle {
    connect_within(url, prefix, secs(30)).await
}

pub async fn connect_within(url: &str, prefix: &str, command_timeout: Duration) -> RedisHandle {
    let config = Config {
        prefix: prefix.to_owned(),
        command_timeout,
        probe_interval: Duration::from_millis(50),
        ..Config::new(url)
    };
    let redis = RedisHandle::connect(config).unwrap();
    redis.ready(secs(120)).await.unwrap();
    redis
}

/// Returns a prefix that no other test uses.
pub fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn setup() -> Setup {
    let redis = connect(&server().await.url(), &prefix()).await;
    Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)))
}

conformance!(setup());

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redis_decides_like_the_log(steps in crate::oracle::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { crate::oracle::play(&setup().await, &steps).await });
    }
}

/// Starts a server for one test, and a limiter on it.
async fn alone(limits: impl IntoIterator<Item = Limit>) -> (RedisServer, Limiter) {
    alone_within(limits, secs(30)).await
}

async fn alone_within(limits: impl IntoIterator<Item = Limit>, timeout: Duration) -> (RedisServer, Limiter) {
    let server = RedisServer::start().await.unwrap();
    let store = RedisStore::new(connect_within(&server.url(), "own:", timeout).await);
    let limiter =
        Limiter::builder().limits(limits).store(Arc::new(store)).expected_instances(4).build().unwrap();
    (server, limiter)
}

/// Waits until `limiter` decides in `mode`, by requests of a user outside of the test.
pub async fn until(limiter: &Limiter, mode: Mode) {
    eventually("the mode changes", async || {
        let probe = limiter.acquire(&Subjects::default().user("probe"), Demand::requests(1)).await;
        probe.is_ok() && limiter.mode() == mode
    })
    .await;
}

#[tokio::test]
async fn a_decision_takes_one_round_trip_for_any_number_of_limits() {
    let (server, limiter) = alone(contract()).await;
    let subjects = ada().api_key("k").endpoint("process");
    assert!(passes(&limiter, &subjects, 1).await);
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    for _ in 0..10 {
        assert!(passes(&limiter, &subjects, 1).await);
    }
    assert_eq!(server.calls("evalsha").await.unwrap(), 10);
    assert_eq!(server.calls("eval").await.unwrap(), 0);
    assert_eq!(server.calls("script|load").await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_writes_one_number_for_each_scope_while_no_bucket_ends() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let (limiter, subjects) = (setup.limiter(contract()), ada().endpoint("process"));
    assert!(passes(&limiter, &subjects, 1).await);
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    for _ in 0..10 {
        assert!(passes(&limiter, &subjects, 1).await);
    }
    for (command, calls) in [("evalsha", 10), ("mget", 10), ("setrange", 20), ("hset", 0)] {
        assert_eq!(server.calls(command).await.unwrap(), calls, "{command}");
    }
    assert!(!passes(&limiter, &subjects, 90).await, "the minute has room for 89");
    assert!(passes(&limiter, &subjects, 89).await);
    assert_eq!(used(&limiter, &subjects, "global-requests-3600s").await, (100, 0));
    // A request for nothing reports the same state as `usage`.
    setup.pass(secs(1));
    assert!(spends(&limiter, &subjects, 10).await, "this moves all limits to the present");
    let nothing = limiter.acquire(&subjects, Demand::requests(0)).await.unwrap();
    let usage = limiter.usage(&subjects).await.unwrap();
    assert_eq!(nothing.report(), &usage);
    assert!(usage.statuses[0].reset_after <= secs(60), "{:?}", usage.statuses[0].reset_after);
    // A new limit applies at once to existing counts.
    let less = setup.limiter(contract().map(|limit| match limit.name() {
        "global-requests-3600s" => Limit::requests(Scope::Global, 101, sliding(3600)),
        _ => limit,
    }));
    let bob = Subjects::default().user("bob");
    assert!(passes(&less, &bob, 1).await);
    assert!(!passes(&less, &bob, 1).await);
    assert!(passes(&limiter, &bob, 1).await);
    assert_eq!(used(&limiter, &bob, "user-requests-60s").await, (2, 0));
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let (server, limiter) = alone(contract()).await;
    assert!(passes(&limiter, &ada(), 1).await);
    server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    assert!(passes(&limiter, &ada(), 1).await);
    assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (2, 0));
}

#[tokio::test]
async fn decisions_use_the_time_of_the_server() {
    let (_server, limiter) =
        alone([Limit::requests(Scope::User, 1, Window::Sliding(Duration::from_millis(120)))]).await;
    assert!(passes(&limiter, &ada(), 1).await);
    eventually("the window passes", async || passes(&limiter, &ada(), 1).await).await;
}

#[tokio::test]
async fn every_key_expires() {
    let (server, limiter) = alone(contract()).await;
    let reservation = limiter
        .acquire(&ada(), Demand { requests: 1, cost_micros: 100 })
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation;
    let _id = reservation.detach();
    let keys = server.command(&["KEYS", "own:{ratelimit}*"]).await.unwrap();
    let mut seen = 0;
    for key in keys.lines() {
        let ttl: i64 = server.command(&["PTTL", key]).await.unwrap().parse().unwrap();
        assert!(ttl > 900_000, "{key} expires in {ttl} ms, before its reservation");
        assert!(ttl < 4 * 86_400_000, "{key} expires in {ttl} ms");
        seen += 1;
    }
    assert_eq!(seen, 4, "{keys}");
}

#[tokio::test]
async fn requests_are_decided_locally_and_dollars_rejected_while_the_server_is_down() {
    let (server, limiter) = alone([
        Limit::requests(Scope::User, 20, sliding(3600)),
        Limit::cost(Scope::User, 1000, sliding(3600)),
    ])
    .await;
    assert!(passes(&limiter, &ada(), 1).await);
    assert_eq!(limiter.mode(), Mode::Exact);
    let held = limiter
        .acquire(&ada(), Demand::cost_micros(100))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    server.kill();
    let mut admitted = 0;
    for _ in 0..20 {
        let decision = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
        assert!(decision.report().local);
        admitted += u64::from(decision.is_admitted());
    }
    assert_eq!(admitted, 5, "20 among 4 instances");
    assert_eq!(limiter.mode(), Mode::Local);
    let refused = limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    assert!(limiter.settle(&held, 1).await.unwrap_err().is_transient());
    assert!(limiter.usage(&ada()).await.unwrap().local);
    let statistics = limiter.statistics();
    assert_eq!((statistics.mode_changes, statistics.local), (1, 20));

    server.restart().await.unwrap();
    until(&limiter, Mode::Exact).await;
    assert_eq!(limiter.statistics().mode_changes, 2);
    assert!(spends(&limiter, &ada(), 1).await);
    assert_eq!(limiter.settle(&held, 1).await.unwrap().outcome, Outcome::Unknown, "lost with the server");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_treated_like_a_killed_one() {
    let (server, limiter) = alone_within([Limit::requests(Scope::User, 8, sliding(3600))], secs(3)).await;
    assert!(passes(&limiter, &ada(), 1).await);
    server.pause();
    assert!(passes(&limiter, &ada(), 2).await);
    assert_eq!(limiter.mode(), Mode::Local);
    assert!(!passes(&limiter, &ada(), 1).await);
    server.resume();
    until(&limiter, Mode::Exact).await;
}

#[tokio::test]
async fn a_read_only_server_decides_nothing() {
    let (server, limiter) = alone([
        Limit::requests(Scope::User, 8, sliding(3600)),
        Limit::cost(Scope::User, 1000, sliding(3600)),
    ])
    .await;
    assert!(passes(&limiter, &ada(), 1).await);
    // A server with too few replicas to accept a write, and a replica, which keeps its counts.
    for (begin, end) in [
        (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]),
        (["REPLICAOF", "127.0.0.1", "1", ""], ["REPLICAOF", "NO", "ONE", ""]),
    ] {
        let words =
            |words: [&'static str; 4]| words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
        server.command(&words(begin)).await.unwrap();
        let decision = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
        assert!(decision.report().local, "{begin:?}");
        let _ = limiter.usage(&ada()).await.unwrap();
        assert_eq!(limiter.mode(), Mode::Local, "reads do not make the mode exact");
        assert!(limiter.acquire(&ada(), Demand::cost_micros(1)).await.is_err());
        server.command(&words(end)).await.unwrap();
        until(&limiter, Mode::Exact).await;
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (0, 0));
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (1, 0));
}

#[tokio::test]
async fn a_reservation_with_a_lost_reply_is_repeated_and_charged_once() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = connect_within(&proxy.through(&server.url()), "own:", secs(3)).await;
    let store = RedisStore::new(redis.clone());
    let plan = Plan::new(vec![Limit::cost(Scope::User, 1000, sliding(3600))]).unwrap();
    let (subjects, id) = (ada(), ReservationId::random());
    let ask = Ask::new(&plan, &subjects).reserve(id, 100, TTL);
    assert!(store.usage(&plan, &subjects).await.is_ok());

    proxy.set(Fault::LoseReplies).await;
    let lost = store.acquire(ask).await.unwrap_err();
    assert!(matches!(lost, Error::Interrupted { .. } | Error::Unavailable { .. }), "{lost}");
    proxy.set(Fault::Pass).await;
    redis.ready(secs(120)).await.unwrap();

    let mut report = None;
    for _ in 0..3 {
        eventually("the request is answered", async || match store.acquire(ask).await {
            Ok(StoreDecision::Admitted(admitted)) => {
                report = Some(admitted);
                true
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => false,
        })
        .await;
    }
    assert_eq!(report.unwrap().statuses[0].used, 100);
    for _ in 0..2 {
        assert_eq!(store.conclude(id, Some(40)).await.unwrap().charged_micros, 40);
    }
    assert_eq!(store.usage(&plan, &subjects).await.unwrap().statuses[0].used, 40);
}

#[tokio::test]
async fn many_connections_admit_exactly_the_limit() {
    let (url, prefix) = (server().await.url(), prefix());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Arc::new(RedisStore::new(connect(&url, &prefix).await));
        let limiter = Limiter::builder()
            .limit(Limit::requests(Scope::Global, 100, sliding(3600)))
            .store(store)
            .build()
            .unwrap();
        for _ in 0..250 {
            let limiter = limiter.clone();
            tasks.spawn(async move {
                let decision = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
                assert!(!decision.report().local);
                decision.is_admitted()
            });
        }
    }
    let admitted = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(admitted, 100);
}

#[tokio::test]
async fn a_subject_costs_what_the_readme_says() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiter = setup.limiter([Limit::requests(Scope::User, 10_000, sliding(60))]);
    let bytes = async |key: &str| -> u64 {
        let keys = server.command(&["KEYS", key]).await.unwrap();
        server.command(&["MEMORY", "USAGE", keys.trim()]).await.unwrap().parse().unwrap()
    };
    assert!(passes(&limiter, &ada(), 1).await);
    assert!(bytes("own:*:user:ada:s").await <= 300);
    for _ in 0..200 {
        setup.pass(secs(1));
        assert!(passes(&limiter, &ada(), 1).await);
    }
    assert!(bytes("own:*:user:ada:s").await <= 300, "the state does not grow");
    assert!(bytes("own:*:user:ada:p").await <= 1400, "60 pairs");
}

#[tokio::test]
async fn dollars_are_rejected_at_the_bound_of_reservations() {
    let redis = connect(&server().await.url(), &prefix()).await;
    let store = RedisStore::new(redis).max_reservations(2);
    let limiter = Limiter::builder()
        .limit(Limit::cost(Scope::User, 1000, sliding(60)))
        .store(Arc::new(store))
        .build()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(
            limiter
                .acquire(&ada(), Demand::cost_micros(1))
                .await
                .unwrap()
                .admitted()
                .unwrap()
                .reservation
                .detach(),
        );
    }
    assert_eq!(
        limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap_err(),
        Error::TooManyReservations
    );
    assert_eq!(limiter.mode(), Mode::Exact, "a full store is not unavailable");
    limiter.release(&held[0]).await.unwrap();
    assert!(spends(&limiter, &ada(), 1).await);
}

#[tokio::test]
async fn a_flushed_server_gets_the_spent_dollars_from_the_ledger() {
    stay_within_one_day();
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let ledger: Arc<dyn ExpenseLedger> = Arc::<Book>::clone(&book);
    let store = RedisStore::new(connect(&server.url(), "own:").await).ledger(ledger);
    let limits =
        [Limit::cost(Scope::User, 1000, sliding(3600)), Limit::cost(Scope::Global, 5000, Window::UtcDay)];
    let limiter = Limiter::builder().limits(limits).store(Arc::new(store)).build().unwrap();
    assert!(spends(&limiter, &ada(), 900).await);
    assert!(spends(&limiter, &ada(), 1).await);
    assert_eq!(book.asked.load(Ordering::Relaxed), 2, "once for each scope");
    book.spent.store(901, Ordering::Relaxed);

    server.command(&["FLUSHALL"]).await.unwrap();
    book.closed.store(true, Ordering::Relaxed);
    assert!(passes(&limiter, &ada(), 1).await, "requests continue");
    assert_eq!(limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap_err(), Error::Rebuilding);
    book.closed.store(false, Ordering::Relaxed);
    assert!(!spends(&limiter, &ada(), 100).await, "901 of 1000 are spent");
    assert!(spends(&limiter, &ada(), 99).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (1000, 0));
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (1000, 0));
}
