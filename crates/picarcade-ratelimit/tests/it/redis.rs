//! The Redis store: the common promises on a real server, and its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use picarcade_ratelimit::{
    Ask, Error, Ledger, Limit, Limiter, Mode, Outcome, Plan, RedisStore, ReservationId, Scope, Store,
    Subjects, Verdict, Window,
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

/// Patient, so that a loaded machine is not taken for a lost server.
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

/// A prefix that no other test has.
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
    fn redis_agrees_with_the_log(steps in crate::oracle::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { crate::oracle::play(&setup().await, &steps).await });
    }
}

/// A server of the test's own, and a limiter on it.
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

/// Waits until `limiter` decides in `mode`, by the requests of one who has no part in the test.
pub async fn until(limiter: &Limiter, mode: Mode) {
    eventually("the mode changes", async || {
        let probe = limiter.acquire(&Subjects::default().user("probe"), 1, 0).await;
        probe.is_ok() && limiter.mode() == mode
    })
    .await;
}

#[tokio::test]
async fn one_round_trip_whatever_the_limits() {
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
async fn while_no_bucket_ends_a_request_writes_one_number_for_each_scope() {
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
    // Asking for nothing says how it stands, and when it is whole again, as asking does.
    setup.pass(secs(1));
    assert!(spends(&limiter, &subjects, 10).await, "which moves all limits to the present");
    let nothing = limiter.acquire(&subjects, 0, 0).await.unwrap();
    let usage = limiter.usage(&subjects).await.unwrap();
    assert_eq!(nothing.report(), &usage);
    assert!(usage.statuses[0].reset_after <= secs(60), "{:?}", usage.statuses[0].reset_after);
    // Another amount is another reckoning: what is configured anew holds at once.
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
async fn a_forgotten_script_is_sent_again() {
    let (server, limiter) = alone(contract()).await;
    assert!(passes(&limiter, &ada(), 1).await);
    server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    assert!(passes(&limiter, &ada(), 1).await);
    assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (2, 0));
}

#[tokio::test]
async fn the_time_is_the_servers() {
    let (_server, limiter) =
        alone([Limit::requests(Scope::User, 1, Window::Sliding(Duration::from_millis(120)))]).await;
    assert!(passes(&limiter, &ada(), 1).await);
    eventually("the window passes", async || passes(&limiter, &ada(), 1).await).await;
}

#[tokio::test]
async fn every_key_dies() {
    let (server, limiter) = alone(contract()).await;
    let reservation = limiter.acquire(&ada(), 1, 100).await.unwrap().admitted().unwrap().reservation;
    let _id = reservation.detach();
    let keys = server.command(&["KEYS", "own:{ratelimit}*"]).await.unwrap();
    let mut seen = 0;
    for key in keys.lines() {
        let ttl: i64 = server.command(&["PTTL", key]).await.unwrap().parse().unwrap();
        assert!(ttl > 900_000, "{key} lives {ttl} ms: not longer than its reservation");
        assert!(ttl < 4 * 86_400_000, "{key} lives {ttl} ms");
        seen += 1;
    }
    assert_eq!(seen, 4, "{keys}");
}

#[tokio::test]
async fn a_killed_server_means_the_local_share_and_no_money() {
    let (server, limiter) = alone([
        Limit::requests(Scope::User, 20, sliding(3600)),
        Limit::cost(Scope::User, 1000, sliding(3600)),
    ])
    .await;
    assert!(passes(&limiter, &ada(), 1).await);
    assert_eq!(limiter.mode(), Mode::Exact);
    let held = limiter.acquire(&ada(), 0, 100).await.unwrap().admitted().unwrap().reservation.detach();
    server.kill();
    let mut admitted = 0;
    for _ in 0..20 {
        let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
        assert!(decision.report().local);
        admitted += u64::from(decision.is_admitted());
    }
    assert_eq!(admitted, 5, "20 among 4 instances");
    assert_eq!(limiter.mode(), Mode::Local);
    let refused = limiter.acquire(&ada(), 0, 1).await.unwrap_err();
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
async fn a_stopped_server_is_as_a_killed_one() {
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
async fn a_server_that_may_not_write_decides_nothing() {
    let (server, limiter) = alone([
        Limit::requests(Scope::User, 8, sliding(3600)),
        Limit::cost(Scope::User, 1000, sliding(3600)),
    ])
    .await;
    assert!(passes(&limiter, &ada(), 1).await);
    // Too few replicas to accept a write; and a replica itself, which keeps its counts.
    for (begin, end) in [
        (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]),
        (["REPLICAOF", "127.0.0.1", "1", ""], ["REPLICAOF", "NO", "ONE", ""]),
    ] {
        let words =
            |words: [&'static str; 4]| words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
        server.command(&words(begin)).await.unwrap();
        let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
        assert!(decision.report().local, "{begin:?}");
        let _ = limiter.usage(&ada()).await.unwrap();
        assert_eq!(limiter.mode(), Mode::Local, "that it can be read does not make it decide");
        assert!(limiter.acquire(&ada(), 0, 1).await.is_err());
        server.command(&words(end)).await.unwrap();
        until(&limiter, Mode::Exact).await;
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (0, 0));
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (1, 0));
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again_and_charged_once() {
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
        eventually("the question is answered", async || match store.acquire(ask).await {
            Ok(Verdict::Admitted(admitted)) => {
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
        assert_eq!(store.settle(id, 40).await.unwrap().charged_micros, 40);
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
                let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
                assert!(!decision.report().local);
                decision.is_admitted()
            });
        }
    }
    let admitted = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(admitted, 100);
}

/// Runs this test again in `count` processes, and returns what each wrote on its last line but libtest's own.
fn processes(test: &str, count: usize, url: &str, prefix: &str) -> Vec<std::process::Child> {
    let child = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads", "1"])
            .env("RATELIMIT_TEST_URL", url)
            .env("RATELIMIT_TEST_PREFIX", prefix)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    (0..count).map(|_| child()).collect()
}

/// The server and prefix of the parent, in a process that a test started.
fn parent() -> Option<(String, String)> {
    Some((std::env::var("RATELIMIT_TEST_URL").ok()?, std::env::var("RATELIMIT_TEST_PREFIX").ok()?))
}

/// What four processes of this test say that they admitted, together.
async fn admitted(test: &str, url: &str, prefix: &str) -> usize {
    let children = processes(test, 4, url, prefix);
    let sum = move || {
        let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
        let texts = outputs.map(|output| String::from_utf8(output.stdout).unwrap());
        let numbers = texts.map(|text| {
            text.lines().find_map(|line| line.strip_prefix("admitted ")?.parse::<usize>().ok()).unwrap()
        });
        numbers.sum()
    };
    tokio::task::spawn_blocking(sum).await.unwrap()
}

async fn limiter_at(url: &str, prefix: &str, limits: impl IntoIterator<Item = Limit>) -> Limiter {
    let store = RedisStore::new(connect(url, prefix).await);
    Limiter::builder().limits(limits).store(Arc::new(store)).build().unwrap()
}

/// A child's part: 250 questions at once, and the sum of what each says.
async fn all_at_once<F: Future<Output = u64> + Send + 'static>(
    limiter: &Limiter,
    ask: impl Fn(Limiter, u64) -> F,
) -> u64 {
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..250 {
        tasks.spawn(ask(limiter.clone(), index));
    }
    tasks.join_all().await.into_iter().sum()
}

#[tokio::test]
async fn four_processes_admit_exactly_the_limit() {
    let limits = [
        Limit::requests(Scope::User, 100, sliding(3600)),
        Limit::cost(Scope::Global, 10_000, Window::UtcDay),
    ];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let sum = all_at_once(&limiter, |limiter, _| async move {
            let admission = limiter.acquire(&ada(), 1, 7).await.unwrap().admitted();
            admission.map(|admission| admission.reservation.detach()).map_or(0, |_| 1)
        })
        .await;
        println!("\nadmitted {sum}");
        return;
    }
    stay_within_one_day();
    let (url, prefix) = (server().await.url(), prefix());
    assert_eq!(admitted("redis::four_processes_admit_exactly_the_limit", &url, &prefix).await, 100);
    let limiter = limiter_at(&url, &prefix, limits.clone()).await;
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (100, 0));
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (700, 700));
}

/// Without dollars, so that each process decides many of them in one question.
#[tokio::test]
async fn four_processes_that_ask_together_admit_exactly_the_limit() {
    let limits = [
        Limit::requests(Scope::User, 1000, sliding(3600)),
        Limit::requests(Scope::Global, 100, Window::UtcDay),
    ];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let sum = all_at_once(&limiter, |limiter, _| async move {
            let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
            assert!(!decision.report().local);
            u64::from(decision.is_admitted())
        })
        .await;
        println!("\nadmitted {sum}");
        return;
    }
    stay_within_one_day();
    let (own, prefix) = (RedisServer::start().await.unwrap(), prefix());
    let test = "redis::four_processes_that_ask_together_admit_exactly_the_limit";
    assert_eq!(admitted(test, &own.url(), &prefix).await, 100);
    let questions = own.calls("evalsha").await.unwrap();
    assert!(questions < 200, "{questions} questions for 1,000 requests: they did not go together");
    let limiter = limiter_at(&own.url(), &prefix, limits.clone()).await;
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (100, 0), "denied by the later one");
    assert_eq!(used(&limiter, &ada(), "global-requests-utc-day").await, (100, 0));
}

#[tokio::test]
async fn four_processes_spend_the_dollars_and_no_more() {
    let limits =
        [Limit::cost(Scope::User, 10_000, sliding(3600)), Limit::cost(Scope::Global, 9_000, Window::UtcDay)];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let sum = all_at_once(&limiter, |limiter, index| async move {
            let price = 1 + index * 37 % 113;
            let admission = limiter.acquire(&ada(), 0, price).await.unwrap().admitted();
            admission.map(|admission| admission.reservation.detach()).map_or(0, |_| price)
        })
        .await;
        println!("\nadmitted {sum}");
        return;
    }
    stay_within_one_day();
    let (url, prefix) = (server().await.url(), prefix());
    let spent = admitted("redis::four_processes_spend_the_dollars_and_no_more", &url, &prefix).await as u64;
    assert!(spent <= 9_000 && spent > 9_000 - 113, "{spent}");
    let limiter = limiter_at(&url, &prefix, limits.clone()).await;
    assert_eq!(
        used(&limiter, &ada(), "user-cost-3600s").await,
        (spent, spent),
        "the later one denied: nothing here"
    );
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (spent, spent));
}

#[tokio::test]
async fn leases_of_real_instances_never_pass_the_limit_and_die_with_their_holder() {
    use std::io::BufRead;
    const CHUNK: usize = 20;
    let limits = [Limit::requests(Scope::Global, 300, Window::UtcDay)];
    let leased = async |url: &str, prefix: &str| {
        let store = RedisStore::new(connect(url, prefix).await);
        let leases = picarcade_ratelimit::Leases::of(["global-requests-utc-day"]).largest(CHUNK as u64);
        let builder = Limiter::builder().limits(limits.clone()).store(Arc::new(store));
        builder.expected_instances(4).leases(leases).build().unwrap()
    };
    if let Some((url, prefix)) = parent() {
        let limiter = leased(&url, &prefix).await;
        for _ in 0..45 {
            assert!(passes(&limiter, &ada(), 1).await);
        }
        println!("\nadmitted 45");
        std::future::pending::<()>().await;
    }
    stay_within_one_day();
    let (url, prefix) = (server().await.url(), prefix());
    let test = "redis::leases_of_real_instances_never_pass_the_limit_and_die_with_their_holder";
    let mut holder = processes(test, 1, &url, &prefix).remove(0);
    let killed = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufReader::new(holder.stdout.take().unwrap()).lines();
        let told = lines.map_while(Result::ok).any(|line| line == "admitted 45");
        holder.kill().unwrap();
        holder.wait().unwrap();
        told
    });
    assert!(killed.await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let limiter = leased(&url, &prefix).await;
        for _ in 0..200 {
            let limiter = limiter.clone();
            tasks.spawn(async move {
                let decision = limiter.acquire(&ada(), 1, 0).await.unwrap();
                assert!(!decision.report().local);
                decision.is_admitted()
            });
        }
    }
    let more = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert!(45 + more <= 300, "{more}");
    assert!(45 + more >= 300 - 4 * CHUNK, "{more}: more is stranded than a chunk of each instance");
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
async fn what_a_killed_process_reserved_is_charged_and_can_be_settled() {
    use std::io::BufRead;
    let limits = [Limit::cost(Scope::User, 1000, sliding(3600))];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let admission = limiter.acquire(&ada(), 0, 300).await.unwrap().admitted().unwrap();
        println!("\nreserved {}", admission.reservation.id());
        std::future::pending::<()>().await;
    }
    let (url, prefix) = (server().await.url(), prefix());
    let test = "redis::what_a_killed_process_reserved_is_charged_and_can_be_settled";
    let mut child = processes(test, 1, &url, &prefix).remove(0);
    let id = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let id =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("reserved ")?.to_owned()));
        child.kill().unwrap();
        child.wait().unwrap();
        id.unwrap()
    })
    .await
    .unwrap();
    let limiter = limiter_at(&url, &prefix, limits.clone()).await;
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (300, 300));
    assert!(!spends(&limiter, &ada(), 701).await);
    assert_eq!(limiter.settle(&id, 250).await.unwrap().outcome, Outcome::Settled);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (250, 0));
}

#[tokio::test]
async fn the_bound_of_reservations_closes_money() {
    let redis = connect(&server().await.url(), &prefix()).await;
    let store = RedisStore::new(redis).max_reservations(2);
    let limiter = Limiter::builder()
        .limit(Limit::cost(Scope::User, 1000, sliding(60)))
        .store(Arc::new(store))
        .build()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(limiter.acquire(&ada(), 0, 1).await.unwrap().admitted().unwrap().reservation.detach());
    }
    assert_eq!(limiter.acquire(&ada(), 0, 1).await.unwrap_err(), Error::TooManyReservations);
    assert_eq!(limiter.mode(), Mode::Exact, "full is not away");
    limiter.release(&held[0]).await.unwrap();
    assert!(spends(&limiter, &ada(), 1).await);
}

#[tokio::test]
async fn a_flushed_server_learns_from_the_ledger_what_was_spent() {
    stay_within_one_day();
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let ledger: Arc<dyn Ledger> = Arc::<Book>::clone(&book);
    let store = RedisStore::new(connect(&server.url(), "own:").await).ledger(ledger);
    let limits =
        [Limit::cost(Scope::User, 1000, sliding(3600)), Limit::cost(Scope::Global, 5000, Window::UtcDay)];
    let limiter = Limiter::builder().limits(limits).store(Arc::new(store)).build().unwrap();
    assert!(spends(&limiter, &ada(), 900).await);
    assert!(spends(&limiter, &ada(), 1).await);
    assert_eq!(book.asked.load(Ordering::Relaxed), 2, "once for each scope, and not again");
    book.spent.store(901, Ordering::Relaxed);

    server.command(&["FLUSHALL"]).await.unwrap();
    book.closed.store(true, Ordering::Relaxed);
    assert!(passes(&limiter, &ada(), 1).await, "requests go on");
    assert_eq!(limiter.acquire(&ada(), 0, 1).await.unwrap_err(), Error::Rebuilding);
    book.closed.store(false, Ordering::Relaxed);
    assert!(!spends(&limiter, &ada(), 100).await, "901 of 1000 are gone");
    assert!(spends(&limiter, &ada(), 99).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (1000, 0));
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (1000, 0));
}
