//! Several Redis servers that act together: a Cluster, and a primary with Sentinels.

use picarcade_testkit::{RedisCluster, RedisSentinel, eventually};

#[tokio::test]
async fn a_cluster_shares_its_slots_and_sends_clients_on() {
    let cluster = RedisCluster::start(3).await.unwrap();
    assert_eq!(cluster.nodes().len(), 3);
    assert!(cluster.url().starts_with("redis-cluster://127.0.0.1:"), "{}", cluster.url());
    assert_eq!(cluster.url().matches("node=").count(), 2);
    let slot = cluster.slot_of("colour").await.unwrap();
    let owner = cluster.owner_of(slot).await.unwrap();
    cluster.node(owner).command(&["SET", "colour", "purple"]).await.unwrap();
    let other = cluster.node((owner + 1) % 3).command(&["GET", "colour"]).await.unwrap_err().to_string();
    assert!(other.contains(&format!("MOVED {slot} {}", cluster.node(owner).addr())), "{other}");
}

#[tokio::test]
async fn a_slot_moves_with_its_keys() {
    let cluster = RedisCluster::builder().password("secret").start().await.unwrap();
    let slot = cluster.slot_of("{tag}").await.unwrap();
    let from = cluster.owner_of(slot).await.unwrap();
    let to = (from + 1) % 3;
    for number in 0..25 {
        cluster.node(from).command(&["SET", &format!("{{tag}}{number}"), "x"]).await.unwrap();
    }
    cluster.begin_move(slot, to).await.unwrap();
    assert_eq!(cluster.node(from).command(&["GET", "{tag}3"]).await.unwrap(), "x");
    let absent = cluster.node(from).command(&["GET", "{tag}absent"]).await.unwrap_err().to_string();
    assert!(absent.contains(&format!("ASK {slot}")), "{absent}");
    cluster.finish_move(slot, to).await.unwrap();
    assert_eq!(cluster.owner_of(slot).await.unwrap(), to);
    assert_eq!(cluster.node(to).command(&["GET", "{tag}24"]).await.unwrap(), "x");
    let moved = cluster.node(from).command(&["GET", "{tag}3"]).await.unwrap_err().to_string();
    assert!(moved.contains(&format!("MOVED {slot}")), "{moved}");
}

#[tokio::test]
async fn a_replica_takes_over_from_a_lost_node() {
    let cluster = RedisCluster::builder().replicas(1).start().await.unwrap();
    let slot = cluster.slot_of("colour").await.unwrap();
    let owner = cluster.owner_of(slot).await.unwrap();
    cluster.node(owner).command(&["SET", "colour", "purple"]).await.unwrap();
    // `WAIT` would not do: it waits for the writes of its own connection.
    let replica = cluster.node(3 + owner);
    eventually("the replica has the key", async || replica.command(&["DBSIZE"]).await.unwrap() == "1").await;
    cluster.node(owner).kill();
    // Until the other nodes notice the loss, they still name the dead one as the owner.
    eventually("a replica takes over", async || cluster.owner_of(slot).await.is_ok()).await;
    cluster.whole().await.unwrap();
    let heir = cluster.owner_of(slot).await.unwrap();
    assert_ne!(heir, owner);
    assert_eq!(cluster.node(heir).command(&["GET", "colour"]).await.unwrap(), "purple");
}

#[tokio::test]
async fn sentinels_replace_a_killed_primary() {
    let set = RedisSentinel::start_with_password("s e\"cret").await.unwrap();
    assert!(set.url().starts_with("redis-sentinel://:s%20e%22cret@127.0.0.1:"), "{}", set.url());
    assert!(set.url().contains("sentinelServiceName=mymaster&node="), "{}", set.url());
    let primary = set.primary().await.unwrap();
    assert_eq!(primary.port(), set.servers()[0].port());
    primary.command(&["SET", "kept", "yes"]).await.unwrap();
    let replicated = async || set.servers()[1].command(&["GET", "kept"]).await.unwrap() == "yes";
    eventually("the replica has the key", replicated).await;
    set.lose_primary().await.unwrap();
    let primary = set.primary().await.unwrap();
    assert_eq!(primary.port(), set.servers()[1].port());
    assert_eq!(primary.command(&["GET", "kept"]).await.unwrap(), "yes");
    assert_eq!(primary.command(&["SET", "a", "1"]).await.unwrap(), "OK");
}
