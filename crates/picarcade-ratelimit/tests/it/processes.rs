//! The Redis store shared by several processes.

use std::sync::Arc;

use picarcade_ratelimit::{Demand, Leases, Limit, Limiter, Outcome, RedisStore, Scope, Window};
use picarcade_testkit::{RedisServer, stay_within_one_day};

use crate::redis::{connect, prefix, server};
use crate::setup::{ada, passes, sliding, spends, used};

/// Runs this test again in `count` processes.
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

/// Returns the server and the prefix of the parent, in a process that a test started.
fn parent() -> Option<(String, String)> {
    Some((std::env::var("RATELIMIT_TEST_URL").ok()?, std::env::var("RATELIMIT_TEST_PREFIX").ok()?))
}

/// Returns how many requests four processes of this test admitted.
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

/// Starts 250 concurrent requests and returns the sum of their results.
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
            let admission =
                limiter.acquire(&ada(), Demand { requests: 1, cost_micros: 7 }).await.unwrap().admitted();
            admission.map(|admission| admission.reservation.detach()).map_or(0, |_| 1)
        })
        .await;
        println!("\nadmitted {sum}");
        return;
    }
    stay_within_one_day();
    let (url, prefix) = (server().await.url(), prefix());
    assert_eq!(admitted("processes::four_processes_admit_exactly_the_limit", &url, &prefix).await, 100);
    let limiter = limiter_at(&url, &prefix, limits.clone()).await;
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (100, 0));
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (700, 700));
}

/// Without dollars, so each process decides many requests in one batch.
#[tokio::test]
async fn four_processes_with_batches_admit_exactly_the_limit() {
    let limits = [
        Limit::requests(Scope::User, 1000, sliding(3600)),
        Limit::requests(Scope::Global, 100, Window::UtcDay),
    ];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let sum = all_at_once(&limiter, |limiter, _| async move {
            let decision = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
            assert!(!decision.report().local);
            u64::from(decision.is_admitted())
        })
        .await;
        println!("\nadmitted {sum}");
        return;
    }
    stay_within_one_day();
    let (own, prefix) = (RedisServer::start().await.unwrap(), prefix());
    let test = "processes::four_processes_with_batches_admit_exactly_the_limit";
    assert_eq!(admitted(test, &own.url(), &prefix).await, 100);
    let calls = own.calls("evalsha").await.unwrap();
    assert!(calls < 200, "{calls} calls for 1,000 requests: they were not batched");
    let limiter = limiter_at(&own.url(), &prefix, limits.clone()).await;
    assert_eq!(
        used(&limiter, &ada(), "user-requests-3600s").await,
        (100, 0),
        "requests denied by the global limit are not charged"
    );
    assert_eq!(used(&limiter, &ada(), "global-requests-utc-day").await, (100, 0));
}

#[tokio::test]
async fn four_processes_spend_no_more_than_the_limit() {
    let limits =
        [Limit::cost(Scope::User, 10_000, sliding(3600)), Limit::cost(Scope::Global, 9_000, Window::UtcDay)];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let sum = all_at_once(&limiter, |limiter, index| async move {
            let price = 1 + index * 37 % 113;
            let admission = limiter.acquire(&ada(), Demand::cost_micros(price)).await.unwrap().admitted();
            admission.map(|admission| admission.reservation.detach()).map_or(0, |_| price)
        })
        .await;
        println!("\nadmitted {sum}");
        return;
    }
    stay_within_one_day();
    let (url, prefix) = (server().await.url(), prefix());
    let spent =
        admitted("processes::four_processes_spend_no_more_than_the_limit", &url, &prefix).await as u64;
    assert!(spent <= 9_000 && spent > 9_000 - 113, "{spent}");
    let limiter = limiter_at(&url, &prefix, limits.clone()).await;
    assert_eq!(
        used(&limiter, &ada(), "user-cost-3600s").await,
        (spent, spent),
        "dollars denied by the global limit are not charged"
    );
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (spent, spent));
}

#[tokio::test]
async fn leases_of_real_instances_never_exceed_the_limit_even_if_a_holder_is_killed() {
    use std::io::BufRead;
    const CHUNK: usize = 20;
    let limits = [Limit::requests(Scope::Global, 300, Window::UtcDay)];
    let leased = async |url: &str, prefix: &str| {
        let store = RedisStore::new(connect(url, prefix).await);
        let leases = Leases::of(["global-requests-utc-day"]).largest(CHUNK as u64);
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
    let test = "processes::leases_of_real_instances_never_exceed_the_limit_even_if_a_holder_is_killed";
    let mut holder = processes(test, 1, &url, &prefix).remove(0);
    let killed = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufReader::new(holder.stdout.take().unwrap()).lines();
        let admitted = lines.map_while(Result::ok).any(|line| line == "admitted 45");
        holder.kill().unwrap();
        holder.wait().unwrap();
        admitted
    });
    assert!(killed.await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let limiter = leased(&url, &prefix).await;
        for _ in 0..200 {
            let limiter = limiter.clone();
            tasks.spawn(async move {
                let decision = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
                assert!(!decision.report().local);
                decision.is_admitted()
            });
        }
    }
    let more = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert!(45 + more <= 300, "{more}");
    assert!(45 + more >= 300 - 4 * CHUNK, "{more}: more than a chunk of each instance is lost");
}

#[tokio::test]
async fn a_reservation_of_a_killed_process_is_charged_and_can_be_settled() {
    use std::io::BufRead;
    let limits = [Limit::cost(Scope::User, 1000, sliding(3600))];
    if let Some((url, prefix)) = parent() {
        let limiter = limiter_at(&url, &prefix, limits.clone()).await;
        let admission = limiter.acquire(&ada(), Demand::cost_micros(300)).await.unwrap().admitted().unwrap();
        println!("\nreserved {}", admission.reservation.id());
        std::future::pending::<()>().await;
    }
    let (url, prefix) = (server().await.url(), prefix());
    let test = "processes::a_reservation_of_a_killed_process_is_charged_and_can_be_settled";
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
