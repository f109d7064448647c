//! A primary and a backup: two independent servers, one of which fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use picarcade_redis::{Config, DriverKind, RedisHandle, Role};
use picarcade_testkit::{Fault, FaultProxy, RedisServer};

use crate::support::{SECOND, config, eventually, ready, with_every_driver};

with_every_driver!(
    the_backup_replaces_a_killed_primary_until_it_is_back,
    a_primary_that_does_not_answer_loses_traffic,
    a_primary_that_is_too_slow_loses_traffic,
    a_read_only_primary_loses_traffic,
    a_flapping_primary_does_not_take_traffic_back,
    a_deleted_value_stays_deleted_after_a_failback,
    a_full_journal_purges_the_keys_under_the_prefix,
    a_deletion_during_a_total_outage_is_replayed,
    a_failover_fails_only_commands_in_flight,
);

struct Pair {
    primary: RedisServer,
    backup: RedisServer,
    proxy: FaultProxy,
    redis: RedisHandle,
}

async fn pair(driver: DriverKind, change: impl FnOnce(Config) -> Config) -> Pair {
    let (primary, backup) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let proxy = FaultProxy::start(primary.addr()).await.unwrap();
    let settings = Config { backup_url: Some(backup.url()), ..config(driver, proxy.url_for("redis")) };
    let redis = ready(change(settings)).await;
    eventually("the primary serves", async || {
        redis.status().active == Role::Primary && redis.status().connected
    })
    .await;
    // The backup connects in the background and cannot take over before.
    eventually("the backup is there", async || {
        backup.command(&["KEYS", "picarcade:probe:*"]).await.unwrap().contains("probe")
    })
    .await;
    Pair { primary, backup, proxy, redis }
}

impl Pair {
    async fn moves_to(&self, role: Role) {
        eventually("traffic moves", async || {
            let status = self.redis.status();
            status.active == role && status.connected && self.redis.get(b"any").await.is_ok()
        })
        .await;
    }
}

async fn the_backup_replaces_a_killed_primary_until_it_is_back(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    pair.primary.kill();
    pair.moves_to(Role::Backup).await;
    pair.redis.set(b"k", b"v", None).await.unwrap();
    assert_eq!(pair.backup.command(&["GET", "picarcade:k"]).await.unwrap(), "v");
    pair.primary.restart().await.unwrap();
    pair.moves_to(Role::Primary).await;
}

async fn a_primary_that_does_not_answer_loses_traffic(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    pair.primary.pause();
    pair.moves_to(Role::Backup).await;
    pair.primary.resume();
    pair.moves_to(Role::Primary).await;
}

async fn a_primary_that_is_too_slow_loses_traffic(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    pair.proxy.set(Fault::Delay(SECOND * 20)).await;
    pair.moves_to(Role::Backup).await;
    pair.proxy.set(Fault::Pass).await;
    pair.moves_to(Role::Primary).await;
}

async fn a_read_only_primary_loses_traffic(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    pair.primary.command(&["REPLICAOF", "127.0.0.1", &pair.backup.port().to_string()]).await.unwrap();
    pair.moves_to(Role::Backup).await;
    pair.primary.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    pair.moves_to(Role::Primary).await;
}

async fn a_flapping_primary_does_not_take_traffic_back(driver: DriverKind) {
    let pair = pair(driver, |config| Config { failback_grace: SECOND * 60, ..config }).await;
    pair.proxy.set(Fault::Cut).await;
    pair.moves_to(Role::Backup).await;
    let generation = pair.redis.generation();
    for _ in 0..5 {
        let seen = pair.proxy.accepted();
        pair.proxy.set(Fault::Pass).await;
        eventually("it is connected again", async || pair.proxy.accepted() > seen).await;
        pair.redis.set(b"k", b"v", None).await.unwrap();
        pair.proxy.set(Fault::Cut).await;
    }
    assert_eq!((pair.redis.status().active, pair.redis.generation()), (Role::Backup, generation));
}

async fn a_deleted_value_stays_deleted_after_a_failback(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    for key in [b"deleted", b"buried_"] {
        pair.redis.set(key, b"old", None).await.unwrap();
    }
    // The backup has old values too, from an earlier time.
    pair.backup.command(&["MSET", "picarcade:deleted", "old", "picarcade:stale", "old"]).await.unwrap();
    pair.redis.delete(b"stale").await.unwrap();
    pair.proxy.set(Fault::Cut).await;
    pair.moves_to(Role::Backup).await;
    assert_eq!(pair.redis.get(b"stale").await.unwrap(), None, "deleted while the backup stood by");
    pair.redis.delete(b"deleted").await.unwrap();
    pair.redis.delete_with_tombstone(b"buried_", b"gone", SECOND * 100).await.unwrap();
    assert_eq!(pair.primary.command(&["GET", "picarcade:deleted"]).await.unwrap(), "old", "not deleted yet");
    assert_eq!(pair.redis.status().pending_invalidations, 2);
    pair.proxy.set(Fault::Pass).await;
    // The values must be gone as soon as the primary is active, so there is no `eventually` after
    // this one.
    eventually("the primary serves", async || pair.redis.status().active == Role::Primary).await;
    assert_eq!(pair.redis.get(b"deleted").await.unwrap(), None);
    assert_eq!(pair.redis.get(b"buried_").await.unwrap().as_deref(), Some(&b"gone"[..]));
    assert_eq!(pair.redis.status().pending_invalidations, 0);
}

async fn a_full_journal_purges_the_keys_under_the_prefix(driver: DriverKind) {
    let pair = pair(driver, |config| Config { journal_capacity: 3, ..config }).await;
    for n in 0..10 {
        pair.redis.set(format!("k{n}").as_bytes(), b"old", None).await.unwrap();
    }
    pair.primary.command(&["SET", "not ours", "stays"]).await.unwrap();
    pair.proxy.set(Fault::Cut).await;
    pair.moves_to(Role::Backup).await;
    for n in 0..9 {
        pair.redis.delete(format!("k{n}").as_bytes()).await.unwrap();
    }
    pair.proxy.set(Fault::Pass).await;
    eventually("the primary serves", async || pair.redis.status().active == Role::Primary).await;
    for n in 0..10 {
        assert_eq!(pair.redis.get(format!("k{n}").as_bytes()).await.unwrap(), None);
    }
    assert_eq!(pair.primary.command(&["GET", "not ours"]).await.unwrap(), "stays");
}

async fn a_deletion_during_a_total_outage_is_replayed(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    pair.redis.set(b"k", b"old", None).await.unwrap();
    pair.backup.kill();
    pair.proxy.set(Fault::Cut).await;
    eventually("no endpoint is active", async || pair.redis.get(b"k").await.is_err()).await;
    pair.redis.delete(b"k").await.unwrap_err();
    pair.proxy.set(Fault::Pass).await;
    // The status may be outdated; the first answer counts.
    let mut answer = pair.redis.get(b"k").await;
    eventually("the primary serves", async || {
        answer = pair.redis.get(b"k").await;
        answer.is_ok()
    })
    .await;
    assert_eq!(answer.unwrap(), None);
}

async fn a_failover_fails_only_commands_in_flight(driver: DriverKind) {
    let pair = pair(driver, |config| config).await;
    let (good, bad) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let (redis, good, bad) = (pair.redis.clone(), Arc::clone(&good), Arc::clone(&bad));
            tokio::spawn(async move {
                loop {
                    let count = if redis.set(b"k", b"v", None).await.is_ok() { &good } else { &bad };
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    let succeed = async |more: u32| {
        let goal = good.load(Ordering::Relaxed) + more;
        eventually("commands succeed", async || good.load(Ordering::Relaxed) >= goal).await;
    };
    succeed(500).await;
    pair.primary.kill();
    eventually("the backup serves", async || pair.redis.status().active == Role::Backup).await;
    succeed(500).await;
    for worker in workers {
        worker.abort();
    }
    // Each worker loses the command in flight and a few more, because no command waits for a
    // reconnect.
    let bad = bad.load(Ordering::Relaxed);
    assert!(bad <= 16 * 3, "{bad} commands failed");
}
