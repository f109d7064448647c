//! The cache over real servers: outages, fail-over, damaged keys.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use picarcade_cache::{Cache, CacheSource, Clock, Reach, RedisRemote, Remote};
use picarcade_redis::{Config, DriverKind, RedisHandle, Role};
use picarcade_testkit::RedisServer;

use crate::support::{Broken, Runs, eventually, key, with_every_driver};

const SECOND: Duration = Duration::from_secs(1);

with_every_driver!(
    an_outage_only_costs_loads,
    a_write_during_an_outage_is_made_after_it,
    a_server_that_does_not_answer_is_given_up,
    foreign_bytes_at_a_key_are_overwritten,
    keys_in_redis_reveal_nothing_and_expire,
    the_contract_holds_on_a_cluster,
    damaged_entries_are_misses_counted_and_overwritten,
    the_backup_takes_over_and_removed_values_stay_removed,
    without_scripts_no_load_waits_for_a_lease,
    an_account_that_may_take_a_lease_may_give_it_back,
);

pub async fn remote_with(config: Config) -> Arc<RedisRemote> {
    let handle = RedisHandle::connect(config).unwrap();
    handle.ready(SECOND * 120).await.unwrap();
    RedisRemote::new(handle)
}

pub async fn remote(driver: DriverKind, url: &str) -> Arc<RedisRemote> {
    remote_with(impatient(driver, url)).await
}

/// Returns settings that detect faults quickly. The timeouts are long enough for a busy machine.
pub fn impatient(driver: DriverKind, url: &str) -> Config {
    Config {
        driver,
        probe_interval: Duration::from_millis(100),
        connect_timeout: SECOND * 3,
        command_timeout: SECOND * 2,
        failback_grace: Duration::from_millis(500),
        ..Config::new(url)
    }
}

async fn without_scripts_no_load_waits_for_a_lease(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    server.command(&["ACL", "SETUSER", "default", "-@scripting"]).await.unwrap();
    for _ in 0..2 {
        let instance = cache(&remote(driver, &server.url()).await);
        let loaded = instance.get_or_load(key(1), Runs::default().load("v".to_string(), Duration::ZERO));
        assert_eq!(loaded.await.unwrap().source, CacheSource::Loaded);
        assert!(instance.drain(SECOND * 20).await);
        assert_eq!(server.command(&["KEYS", "*:l:*"]).await.unwrap(), "");
    }
}

async fn an_account_that_may_take_a_lease_may_give_it_back(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    server.command(&["ACL", "SETUSER", "default", "-del", "-pexpire"]).await.unwrap();
    let remote = remote(driver, &server.url()).await;
    assert!(remote.acquire("test", key(1), 1, SECOND * 600).await.unwrap());
    assert!(remote.renew("test", key(1), 1, SECOND * 600).await.unwrap());
    remote.release("test", key(1), 1).await.unwrap();
    assert!(remote.acquire("test", key(1), 2, SECOND).await.unwrap());
}

fn cache(remote: &Arc<RedisRemote>) -> Cache<String> {
    Cache::builder("test").remote(Arc::clone(remote) as Arc<dyn Remote>).build().unwrap()
}

async fn an_outage_only_costs_loads(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(driver, &server.url()).await;
    let (cache, runs) = (cache(&remote), Runs::default());
    cache.get_or_load(key(1), runs.load("a".to_string(), Duration::ZERO)).await.unwrap();
    server.kill();
    assert_eq!(
        cache.get_or_load(key(1), runs.load("b".to_string(), Duration::ZERO)).await.unwrap().source,
        CacheSource::L1
    );
    let loaded = cache.get_or_load(key(2), runs.load("c".to_string(), Duration::ZERO)).await.unwrap();
    assert_eq!((loaded.value.as_str(), loaded.source), ("c", CacheSource::Loaded));
    assert_eq!(cache.remove(key(1)).await, Reach::Queued);
    assert!(cache.peek(key(1)).is_none());
    server.restart().await.unwrap();
    eventually("it is used again", async || remote.handle().status().connected).await;
    cache.get_or_load(key(3), runs.load("d".to_string(), Duration::ZERO)).await.unwrap();
    let other = self::cache(&remote);
    eventually("the second level is written again", async || other.get(key(3)).await.is_some()).await;
}

async fn a_write_during_an_outage_is_made_after_it(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(driver, &server.url()).await;
    let cache = cache(&remote);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
    let load = move || async move {
        begun.send(()).unwrap();
        goes_on.await.unwrap();
        Ok::<_, Broken>("kept".to_string())
    };
    let (loaded, ()) = tokio::join!(cache.get_or_load(key(1), load), async {
        begins.await.unwrap();
        server.kill();
        go_on.send(()).unwrap();
    });
    loaded.unwrap();
    eventually("the write waits", async || remote.pending_writes() == 1).await;
    server.restart().await.unwrap();
    let other = self::cache(&remote);
    eventually("the write is made", async || {
        other.get(key(1)).await.is_some_and(|found| found.value.as_str() == "kept")
    })
    .await;
    assert_eq!(remote.pending_writes(), 0);
}

async fn a_server_that_does_not_answer_is_given_up(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(driver, &server.url()).await;
    let cache = cache(&remote);
    server.pause();
    let loaded =
        cache.get_or_load(key(1), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
    assert_eq!(loaded.source, CacheSource::Loaded);
    eventually("it is given up", async || !remote.handle().status().connected).await;
    server.resume();
    eventually("it is used again", async || remote.handle().status().connected).await;
}

async fn foreign_bytes_at_a_key_are_overwritten(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(driver, &server.url()).await;
    let cache = cache(&remote);
    let at = format!("picarcade:test:e:{}", key(1));
    server.command(&["SET", &at, "not ours"]).await.unwrap();
    let loaded =
        cache.get_or_load(key(1), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
    assert_eq!((loaded.source, cache.statistics().undecodable > 0), (CacheSource::Loaded, true));
    let other = self::cache(&remote);
    eventually("overwritten", async || other.get(key(1)).await.is_some()).await;
    // A key of another type cannot be read, which is only a miss.
    server.command(&["LPUSH", &format!("picarcade:test:e:{}", key(2)), "x"]).await.unwrap();
    cache.get_or_load(key(2), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
}

async fn keys_in_redis_reveal_nothing_and_expire(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(driver, &server.url()).await;
    let cache = cache(&remote);
    let k = picarcade_cache::Key::builder("test", 1).part("a secret prompt").finish();
    cache.insert(&k, "v".to_string()).await.unwrap();
    cache.remove_by_tag("user:alice").await;
    cache.remove(key(1)).await;
    let keys = server.command(&["KEYS", "*"]).await.unwrap();
    assert!(!keys.contains("secret") && !keys.contains("alice"), "{keys}");
    for name in keys.lines() {
        let ttl: i64 = server.command(&["PTTL", name]).await.unwrap().parse().unwrap();
        assert!(ttl > 0, "{name} lives for ever");
    }
}

async fn the_contract_holds_on_a_cluster(driver: DriverKind) {
    crate::conformance::all_on_one_cluster(driver).await;
}

async fn damaged_entries_are_misses_counted_and_overwritten(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(driver, &server.url()).await;
    let build = || Cache::<String>::builder("test").remote(Arc::clone(&remote) as Arc<dyn Remote>);
    let writer = build().build().unwrap();
    writer.insert(key(0), "x".repeat(10_000)).await.unwrap();
    let at = |n: u64| format!("test:e:{}", key(n));
    let good = remote.handle().get(at(0).as_bytes()).await.unwrap().unwrap();
    let mut flipped = good.to_vec();
    flipped[good.len() / 2] ^= 4;
    let damaged = [
        Bytes::new(),
        Bytes::from_static(b"E"),
        good.slice(..9),
        good.slice(..good.len() - 1),
        good.slice(1..),
        flipped.into(),
        vec![b'E'; 1 << 20].into(),
    ];
    let reader = build().build().unwrap();
    for (n, bytes) in (1..).zip(damaged) {
        remote.handle().set(at(n).as_bytes(), &bytes, Some(SECOND * 100)).await.unwrap();
        let before = reader.statistics().undecodable;
        let load = Runs::default().load("new".to_string(), Duration::ZERO);
        assert_eq!(reader.get_or_load(key(n), load).await.unwrap().source, CacheSource::Loaded);
        assert!(reader.statistics().undecodable > before, "entry {n}");
        assert!(reader.drain(SECOND * 120).await);
        let other = build().build().unwrap();
        let found = other.get(key(n)).await.map(|found| found.value.as_str() == "new");
        assert_eq!(found, Some(true), "entry {n} was overwritten");
    }
    let schema = build().schema_version(2).build().unwrap();
    assert!(schema.get(key(0)).await.is_none(), "of another schema");
    let small = build().max_entry_bytes(100).build().unwrap();
    assert!(small.get(key(0)).await.is_none(), "larger than it takes");
    assert_eq!((schema.statistics().undecodable, small.statistics().undecodable), (1, 1));
    let tomorrow =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap() + SECOND * 86_400;
    let ahead = build().clock(Clock::following(tomorrow.as_millis() as u64)).build().unwrap();
    ahead.insert(key(50), "tomorrow".to_string()).await.unwrap();
    assert!(reader.get(key(50)).await.is_none(), "from the future");
}

async fn the_backup_takes_over_and_removed_values_stay_removed(driver: DriverKind) {
    let (primary, backup) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let config = Config { backup_url: Some(backup.url()), ..impatient(driver, &primary.url()) };
    let remote = remote_with(config).await;
    // A first level that stores nothing, so that every lookup reads Redis.
    let cache = Cache::<String>::builder("test")
        .max_bytes(1)
        .remote(Arc::clone(&remote) as Arc<dyn Remote>)
        .build()
        .unwrap();
    let serves = async |role: Role| {
        eventually("it serves", async || {
            let status = remote.handle().status();
            status.active == role && status.connected
        })
        .await;
    };
    serves(Role::Primary).await;
    for n in 0..3 {
        cache.insert(key(n), "old".to_string()).await.unwrap();
    }
    primary.pause();
    serves(Role::Backup).await;
    let runs = Runs::default();
    let load = || runs.load("new".to_string(), Duration::ZERO);
    assert_eq!(cache.get_or_load(key(0), load()).await.unwrap().source, CacheSource::Loaded);
    assert!(cache.drain(SECOND * 120).await);
    assert_eq!(cache.get_or_load(key(0), load()).await.unwrap().source, CacheSource::L2, "the backup has it");
    assert_eq!(cache.remove(key(1)).await, Reach::Fleet);
    assert_eq!(cache.remove_by_tag("user:alice").await, Reach::Fleet);
    primary.resume();
    serves(Role::Primary).await;
    assert!(cache.get(key(1)).await.is_none(), "removed meanwhile");
    assert_eq!(cache.get(key(2)).await.unwrap().value.as_str(), "old", "and only that");
}
