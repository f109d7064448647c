//! Dollars after a server lost or missed a part of what was spent: the counters are raised to what
//! the ledger knows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use picarcade_ratelimit::{
    Demand, Error, ExpenseLedger, Limit, Limiter, RedisStore, Scope, Subjects, Window,
};
use picarcade_redis::{Config, RedisHandle, Role};
use picarcade_testkit::{Fault, FaultProxy, RedisCluster, RedisServer, eventually};

use crate::redis::{connect, prefix, server};
use crate::setup::{Book, Setup, ada, passes, secs, sliding, spends, used};

fn limits() -> [Limit; 2] {
    [Limit::cost(Scope::User, 1000, sliding(3600)), Limit::cost(Scope::Global, 1000, Window::UtcDay)]
}

fn limiter(redis: RedisHandle, book: &Arc<Book>) -> Limiter {
    let ledger: Arc<dyn ExpenseLedger> = Arc::<Book>::clone(book);
    let store = RedisStore::new(redis).ledger(ledger);
    Limiter::builder().limits(limits()).store(Arc::new(store)).build().unwrap()
}

/// Spends, and records it in the ledger.
async fn pays(limiter: &Limiter, book: &Book, micros: u64) -> bool {
    let paid = spends(limiter, &ada(), micros).await;
    if paid {
        book.spent.fetch_add(micros, Ordering::Relaxed);
    }
    paid
}

/// Asks until the store decides on dollars, and returns the decision.
async fn decides(limiter: &Limiter, micros: u64) -> bool {
    let answer = async {
        loop {
            match limiter.acquire(&ada(), Demand::cost_micros(micros)).await {
                Ok(decision) => break decision.is_admitted(),
                Err(error) => assert!(error.is_transient() || error == Error::Rebuilding, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(secs(30), answer).await.expect("dollars are still rejected")
}

async fn with_backup(primary: &FaultProxy, backup: &RedisServer) -> RedisHandle {
    let config = Config {
        prefix: "own:".to_owned(),
        backup_url: Some(backup.url()),
        command_timeout: secs(5),
        probe_interval: std::time::Duration::from_millis(50),
        failback_grace: std::time::Duration::from_millis(100),
        ..Config::new(primary.url_for("redis"))
    };
    let redis = RedisHandle::connect(config).unwrap();
    eventually("the primary serves", async || {
        redis.status().connected && redis.status().active == Role::Primary
    })
    .await;
    // The backup connects in the background and cannot take over before that.
    eventually("the backup is connected", async || {
        backup.command(&["KEYS", "own:probe:*"]).await.unwrap().contains("probe")
    })
    .await;
    redis
}

async fn serves(redis: &RedisHandle, role: Role) {
    eventually("traffic moves", async || redis.status().connected && redis.status().active == role).await;
}

#[tokio::test]
async fn a_primary_that_traffic_returns_to_counts_what_was_spent_on_the_backup() {
    let (primary, backup) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let proxy = FaultProxy::start(primary.addr()).await.unwrap();
    let book = Arc::new(Book::default());
    let redis = [with_backup(&proxy, &backup).await, with_backup(&proxy, &backup).await];
    let fleet = redis.each_ref().map(|redis| limiter(redis.clone(), &book));
    assert!(pays(&fleet[0], &book, 300).await);
    for role in [Role::Backup, Role::Primary, Role::Backup, Role::Primary] {
        proxy.set(if role == Role::Backup { Fault::Cut } else { Fault::Pass }).await;
        for redis in &redis {
            serves(redis, role).await;
        }
        let spent = book.spent.load(Ordering::Relaxed);
        assert!(!decides(&fleet[0], 1001 - spent).await, "{role:?}: {spent} of 1000 are gone");
        assert!(!decides(&fleet[1], 1001 - spent).await, "{role:?}: {spent} of 1000 are gone");
        // Both instances compared the counters, which were raised once.
        assert!(pays(&fleet[1], &book, 100).await, "{role:?}");
        assert_eq!(used(&fleet[0], &ada(), "user-cost-3600s").await, (spent + 100, 0));
        assert_eq!(used(&fleet[0], &ada(), "global-cost-utc-day").await, (spent + 100, 0));
    }
    assert!(pays(&fleet[0], &book, 300).await);
    assert!(!decides(&fleet[1], 1).await);
}

#[tokio::test]
async fn a_server_restarted_from_an_old_snapshot_counts_what_was_spent_since() {
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let limiter = limiter(connect(&server.url(), "own:").await, &book);
    assert!(pays(&limiter, &book, 200).await);
    server.command(&["SAVE"]).await.unwrap();
    assert!(pays(&limiter, &book, 600).await);
    server.restart().await.unwrap();
    assert!(!decides(&limiter, 201).await, "800 of 1000 are spent");
    assert!(pays(&limiter, &book, 200).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (1000, 0));
}

/// Replaces the data of `to` by that of `from`, in the same process.
async fn copy(from: &RedisServer, to: &RedisServer) {
    from.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await.unwrap();
    to.command(&["REPLICAOF", "127.0.0.1", &from.port().to_string()]).await.unwrap();
    eventually("the data is copied", async || {
        to.command(&["INFO", "replication"]).await.unwrap().contains("master_link_status:up")
    })
    .await;
    to.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
}

#[tokio::test]
async fn a_server_that_loads_older_data_in_place_counts_what_was_spent_since() {
    let (server, other) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let book = Arc::new(Book::default());
    let redis = connect(&server.url(), "own:").await;
    // With a clock that stands still, no comparison comes from the age of the epoch.
    let setup = Setup::new(|clock| {
        let ledger: Arc<dyn ExpenseLedger> = Arc::<Book>::clone(&book);
        Arc::new(RedisStore::new(redis).with_clock(clock).ledger(ledger))
    });
    let limiter = setup.limiter(limits());
    assert!(pays(&limiter, &book, 200).await);
    copy(&server, &other).await;
    assert!(pays(&limiter, &book, 600).await);
    copy(&other, &server).await;
    assert!(!decides(&limiter, 201).await, "800 of 1000 are gone");
    assert!(decides(&limiter, 200).await);
}

#[tokio::test]
async fn dollars_are_rejected_after_a_restart_until_the_ledger_answers() {
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let limiter = limiter(connect(&server.url(), "own:").await, &book);
    assert!(pays(&limiter, &book, 200).await);
    server.command(&["SAVE"]).await.unwrap();
    server.restart().await.unwrap();
    book.closed.store(true, Ordering::Relaxed);
    eventually("the store decides again", async || {
        limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap_err() == Error::Rebuilding
    })
    .await;
    assert!(passes(&limiter, &ada(), 1).await, "requests continue");
    book.closed.store(false, Ordering::Relaxed);
    assert!(!decides(&limiter, 801).await);
    assert!(decides(&limiter, 800).await);
}

#[tokio::test]
async fn a_promoted_replica_that_lags_counts_what_it_missed() {
    let cluster = RedisCluster::builder()
        .primaries(3)
        .replicas(1)
        .arg("cluster-node-timeout", "1000")
        .arg("cluster-replica-validity-factor", "0")
        .start()
        .await
        .unwrap();
    let book = Arc::new(Book::default());
    let config = Config { prefix: "own:".to_owned(), command_timeout: secs(5), ..Config::new(cluster.url()) };
    let redis = RedisHandle::connect(config).unwrap();
    redis.ready(secs(30)).await.unwrap();
    let setup = Setup::new(|clock| {
        let ledger: Arc<dyn ExpenseLedger> = Arc::<Book>::clone(&book);
        Arc::new(RedisStore::new(redis).with_clock(clock).ledger(ledger))
    });
    let limiter = setup.limiter(limits());
    // After a minute the first epoch needs no more comparisons, so only the change causes one.
    for micros in [200, 100] {
        assert!(pays(&limiter, &book, micros).await);
        setup.pass(secs(61));
    }
    let slot = cluster.slot_of("own:{ratelimit}:deadlines").await.unwrap();
    let owner = cluster.node(cluster.owner_of(slot).await.unwrap());
    crate::cluster::replicated(owner).await;
    let port = owner.command(&["INFO", "replication"]).await.unwrap();
    let port = port.split("port=").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let replica = cluster.nodes().iter().find(|node| node.port().to_string() == port).unwrap();
    // Writes on their way to a stopped replica would reach it later, so its link is cut as well.
    replica.pause();
    owner.command(&["CLIENT", "KILL", "TYPE", "replica"]).await.unwrap();
    assert!(pays(&limiter, &book, 500).await);
    owner.kill();
    replica.resume();
    assert!(!decides(&limiter, 201).await, "800 of 1000 are spent");
    assert!(decides(&limiter, 200).await);
}

#[tokio::test]
async fn a_ledger_that_lags_behind_the_change_is_read_again() {
    let book = Arc::new(Book::default());
    let redis = connect(&server().await.url(), &prefix()).await;
    let setup = Setup::new(|clock| {
        let ledger: Arc<dyn ExpenseLedger> = Arc::<Book>::clone(&book);
        Arc::new(RedisStore::new(redis).with_clock(clock).ledger(ledger))
    });
    let limiter = setup.limiter(limits());
    for (pause, spent, asked) in
        [(0, 100, 2), (1, 300, 2), (2, 300, 4), (30, 700, 4), (60, 700, 6), (600, 900, 6)]
    {
        setup.pass(secs(pause));
        book.spent.store(spent, Ordering::Relaxed);
        let held = limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap().admitted().unwrap();
        held.reservation.release().await.unwrap();
        assert_eq!(book.asked.load(Ordering::Relaxed), asked, "{pause} {spent}");
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (700, 0));
}

#[tokio::test]
async fn a_counter_above_the_ledger_stays_as_it_is() {
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let limiter = limiter(connect(&server.url(), "own:").await, &book);
    assert!(spends(&limiter, &ada(), 600).await);
    server.command(&["SAVE"]).await.unwrap();
    book.spent.store(500, Ordering::Relaxed);
    server.restart().await.unwrap();
    assert!(!decides(&limiter, 401).await);
    assert!(decides(&limiter, 400).await);
}

#[tokio::test]
async fn a_server_that_forbids_info_is_compared_after_every_new_connection() {
    let server = RedisServer::start().await.unwrap();
    server.command(&["ACL", "SETUSER", "default", "-info"]).await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let book = Arc::new(Book::default());
    let redis = connect(&proxy.url_for("redis"), "own:").await;
    let limiter = limiter(redis.clone(), &book);
    assert!(pays(&limiter, &book, 300).await);
    let asked = book.asked.load(Ordering::Relaxed);
    assert!(pays(&limiter, &book, 300).await);
    assert_eq!(book.asked.load(Ordering::Relaxed), asked);
    book.spent.store(900, Ordering::Relaxed);
    proxy.set(Fault::Cut).await;
    eventually("the connection is lost", async || !redis.status().connected).await;
    proxy.set(Fault::Pass).await;
    assert!(!decides(&limiter, 101).await);
    assert!(decides(&limiter, 100).await);
}

#[tokio::test]
async fn a_crowd_after_a_change_reads_the_ledger_a_bounded_number_of_times() {
    let book = Arc::new(Book::default());
    let limiter = limiter(connect(&server().await.url(), &prefix()).await, &book);
    book.spent.store(990, Ordering::Relaxed);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let limiter = limiter.clone();
        crowd.spawn(async move { spends(&limiter, &ada(), 1).await });
    }
    let admitted = crowd.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(admitted, 10);
    let asked = book.asked.load(Ordering::Relaxed);
    assert!(asked <= 8, "{asked}: more than four look-ups of two scopes");
}

#[tokio::test]
async fn an_open_reservation_survives_the_comparison() {
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let limiter = limiter(connect(&server.url(), "own:").await, &book);
    let id = limiter
        .acquire(&ada(), Demand::cost_micros(300))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    server.command(&["SAVE"]).await.unwrap();
    server.restart().await.unwrap();
    assert!(!decides(&limiter, 701).await);
    assert_eq!(limiter.settle(&id, 100).await.unwrap().charged_micros, 100);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (100, 0));
}

#[tokio::test]
async fn each_shard_notices_the_change_of_its_own_server() {
    let server = RedisServer::start().await.unwrap();
    let book = Arc::new(Book::default());
    let ledger: Arc<dyn ExpenseLedger> = Arc::<Book>::clone(&book);
    let shards = RedisStore::new(connect(&server.url(), "own:").await).ledger(ledger).sharded(4);
    let limiter = Limiter::builder().limits(limits()).shards(shards).build().unwrap();
    assert!(pays(&limiter, &book, 200).await);
    server.command(&["SAVE"]).await.unwrap();
    assert!(pays(&limiter, &book, 600).await);
    server.restart().await.unwrap();
    assert!(!decides(&limiter, 201).await);
    let bob = Subjects::default().user("bob");
    eventually("the shared budget is rejected", async || {
        limiter.acquire(&bob, Demand::cost_micros(201)).await.is_ok_and(|decision| !decision.is_admitted())
    })
    .await;
}
