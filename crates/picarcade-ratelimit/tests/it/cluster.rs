//! The Redis store on a cluster of three real nodes: exact, in one slot, while slots move and nodes
//! are lost.

use std::sync::Arc;

use picarcade_ratelimit::{Demand, Limit, Limiter, Mode, Outcome, RedisStore, Scope, Subjects, Window};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::{RedisCluster, RedisServer, eventually};

use crate::setup::{ada, passes, secs, sliding, spends, used};

fn limits() -> [Limit; 4] {
    [
        Limit::requests(Scope::User, 100, sliding(3600)),
        Limit::cost(Scope::User, 1000, sliding(3600)),
        Limit::requests(Scope::Endpoint, 500, sliding(60)),
        Limit::cost(Scope::Global, 5000, Window::UtcDay),
    ]
}

async fn limiter(cluster: &RedisCluster) -> Limiter {
    let config =
        Config { prefix: "own:".to_owned(), command_timeout: secs(30), ..Config::new(cluster.url()) };
    let redis = RedisHandle::connect(config).unwrap();
    redis.ready(secs(120)).await.unwrap();
    Limiter::builder().limits(limits()).store(Arc::new(RedisStore::new(redis))).build().unwrap()
}

/// Returns whether a node reported a script or a command that left its slot.
async fn crossed(cluster: &RedisCluster) -> bool {
    for node in cluster.nodes() {
        if node.command(&["INFO", "errorstats"]).await.is_ok_and(|stats| stats.contains("CROSSSLOT")) {
            return true;
        }
    }
    false
}

/// Waits until the replica of `node` has all its data.
pub async fn replicated(node: &RedisServer) {
    eventually("the replica has everything", async || {
        let info = node.command(&["INFO", "replication"]).await.unwrap();
        let offset = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:")).unwrap();
        let has_all = format!("offset={},", offset.trim());
        info.lines().any(|line| line.starts_with("slave0:") && line.contains(&has_all))
    })
    .await;
}

#[tokio::test]
async fn decisions_are_exact_and_never_cross_slots() {
    let cluster = RedisCluster::start(3).await.unwrap();
    let limiters = [limiter(&cluster).await, limiter(&cluster).await];
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..400 {
        let limiter = limiters[index % 2].clone();
        tasks.spawn(async move { passes(&limiter, &ada().endpoint("process").api_key("k"), 1).await });
    }
    let admitted = tasks.join_all().await.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(admitted, 100);
    let mut questions = 0;
    for node in cluster.nodes() {
        questions += node.calls("evalsha").await.unwrap();
    }
    assert!(questions < 100, "{questions} questions for 400 requests: they did not go together");
    let id = limiters[0]
        .acquire(&ada(), Demand::cost_micros(700))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    assert!(!spends(&limiters[1], &ada(), 301).await);
    assert_eq!(limiters[1].settle(&id, 200).await.unwrap().outcome, Outcome::Settled);
    assert_eq!(used(&limiters[0], &ada(), "user-cost-3600s").await, (200, 0));
    assert!(!crossed(&cluster).await);
    assert!(limiters.iter().all(|limiter| limiter.statistics().mode_changes == 0));
}

#[tokio::test]
async fn counts_move_with_their_slot() {
    let cluster = RedisCluster::start(3).await.unwrap();
    let limiter = limiter(&cluster).await;
    assert!(passes(&limiter, &ada(), 10).await);
    let id = limiter
        .acquire(&ada(), Demand::cost_micros(300))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    let slot = cluster.slot_of("own:{ratelimit}:deadlines").await.unwrap();
    let owner = cluster.owner_of(slot).await.unwrap();
    cluster.begin_move(slot, (owner + 1) % 3).await.unwrap();
    // While the slot moves, a decision is exact, or local and marked so.
    let during = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
    let counted = 10 + u64::from(!during.report().local);
    cluster.finish_move(slot, (owner + 1) % 3).await.unwrap();
    eventually("the counts have arrived", async || {
        passes(&limiter, &Subjects::default().user("probe"), 1).await;
        limiter.mode() == Mode::Exact && used(&limiter, &ada(), "user-requests-3600s").await.0 >= 10
    })
    .await;
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (counted, 0));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (300, 300));
    assert_eq!(limiter.settle(&id, 100).await.unwrap().outcome, Outcome::Settled);
    assert_eq!(cluster.owner_of(slot).await.unwrap(), (owner + 1) % 3);
    assert!(!crossed(&cluster).await);
}

#[tokio::test]
async fn requests_are_decided_locally_until_the_replica_of_a_lost_node_takes_over() {
    let cluster = RedisCluster::builder()
        .primaries(3)
        .replicas(1)
        .arg("cluster-node-timeout", "3000")
        .start()
        .await
        .unwrap();
    let limiter = limiter(&cluster).await;
    assert!(passes(&limiter, &ada(), 10).await);
    let slot = cluster.slot_of("own:{ratelimit}:deadlines").await.unwrap();
    let owner = cluster.node(cluster.owner_of(slot).await.unwrap());
    replicated(owner).await;
    owner.kill();
    let decision = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap();
    assert!(decision.is_admitted(), "admitted, exactly or locally");
    let mut report = limiter.usage(&ada()).await.unwrap();
    eventually("a replica takes over", async || {
        report = limiter.usage(&ada()).await.unwrap();
        !report.local
    })
    .await;
    // Replication is asynchronous: the latest charges may be lost, but none before them.
    assert!(report.statuses[0].used >= 10, "{report:?}");
    assert!(!crossed(&cluster).await);
}

#[tokio::test]
async fn sharded_limits_fulfill_the_contract_over_all_nodes() {
    let cluster = RedisCluster::start(3).await.unwrap();
    let config =
        Config { prefix: "own:".to_owned(), command_timeout: secs(30), ..Config::new(cluster.url()) };
    let redis = RedisHandle::connect(config).unwrap();
    redis.ready(secs(120)).await.unwrap();
    crate::sharded::fulfills_the_contract(RedisStore::new(redis).sharded(16)).await;
    for node in cluster.nodes() {
        let keys = node.command(&["KEYS", "own:{ratelimit:*"]).await.unwrap();
        assert!(keys.contains("user:user-"), "a node without users: {keys}");
    }
    assert!(!crossed(&cluster).await);
}
