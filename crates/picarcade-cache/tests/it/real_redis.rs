//! The cache over real servers: outages, several processes, damaged keys.

use std::{sync::Arc, time::Duration};

use picarcade_cache::{Cache, Reach, RedisRemote, Remote, Source};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::RedisServer;

use crate::support::{Runs, eventually, key};

const SECOND: Duration = Duration::from_secs(1);

pub async fn remote(url: &str) -> Arc<RedisRemote> {
    let config = Config {
        probe_interval: Duration::from_millis(100),
        command_timeout: Duration::from_millis(500),
        ..Config::new(url)
    };
    let handle = RedisHandle::connect(config).unwrap();
    handle.ready(SECOND * 10).await.unwrap();
    RedisRemote::new(handle)
}

fn cache(remote: &Arc<RedisRemote>) -> Cache<String> {
    Cache::builder("test").remote(Arc::clone(remote) as Arc<dyn Remote>).build().unwrap()
}

#[tokio::test]
async fn an_outage_costs_loads_and_nothing_else() {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server.url()).await;
    let (cache, runs) = (cache(&remote), Runs::default());
    cache.get_or_load(key(1), runs.load("a".to_string(), Duration::ZERO)).await.unwrap();
    server.kill();
    assert_eq!(
        cache.get_or_load(key(1), runs.load("b".to_string(), Duration::ZERO)).await.unwrap().source,
        Source::L1
    );
    let loaded = cache.get_or_load(key(2), runs.load("c".to_string(), Duration::ZERO)).await.unwrap();
    assert_eq!((loaded.value.as_str(), loaded.source), ("c", Source::Loaded));
    assert_eq!(cache.remove(key(1)).await, Reach::Queued);
    assert!(cache.peek(key(1)).is_none());
    server.restart().await.unwrap();
    eventually("it is used again", async || remote.handle().status().connected).await;
    cache.get_or_load(key(3), runs.load("d".to_string(), Duration::ZERO)).await.unwrap();
    let other = self::cache(&remote);
    eventually("the second level is written again", async || other.get(key(3)).await.is_some()).await;
}

#[tokio::test]
async fn a_write_that_was_under_way_at_the_outage_is_made_after_it() {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server.url()).await;
    let cache = cache(&remote);
    let loading =
        cache.get_or_load(key(1), Runs::default().load("kept".to_string(), Duration::from_millis(200)));
    let (loaded, ()) = tokio::join!(loading, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.kill();
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

#[tokio::test]
async fn a_black_hole_is_left_after_its_deadline() {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server.url()).await;
    let cache = cache(&remote);
    server.pause();
    let loaded =
        cache.get_or_load(key(1), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
    assert_eq!(loaded.source, Source::Loaded);
    eventually("it is given up", async || !remote.handle().status().connected).await;
    server.resume();
    eventually("it is used again", async || remote.handle().status().connected).await;
}

#[tokio::test]
async fn what_others_put_at_our_keys_is_overwritten() {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server.url()).await;
    let cache = cache(&remote);
    let at = format!("picarcade:test:e:{}", key(1));
    server.command(&["SET", &at, "not ours"]).await.unwrap();
    let loaded =
        cache.get_or_load(key(1), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
    assert_eq!((loaded.source, cache.statistics().undecodable > 0), (Source::Loaded, true));
    let other = self::cache(&remote);
    eventually("overwritten", async || other.get(key(1)).await.is_some()).await;
    // A key of another type cannot be read at all: still only a miss.
    server.command(&["LPUSH", &format!("picarcade:test:e:{}", key(2)), "x"]).await.unwrap();
    cache.get_or_load(key(2), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
}

#[tokio::test]
async fn nothing_in_redis_shows_what_was_asked_or_lives_for_ever() {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server.url()).await;
    let cache = cache(&remote);
    let k = picarcade_cache::Key::builder("test", 1).part("a secret prompt").finish();
    cache.insert(&k, "v".to_string()).await;
    cache.remove_by_tag("user:alice").await;
    cache.remove(key(1)).await;
    let keys = server.command(&["KEYS", "*"]).await.unwrap();
    assert!(!keys.contains("secret") && !keys.contains("alice"), "{keys}");
    for name in keys.lines() {
        let ttl: i64 = server.command(&["PTTL", name]).await.unwrap().parse().unwrap();
        assert!(ttl > 0, "{name} lives for ever");
    }
}

/// A process of its own that asks for one key (see `examples/fleet_member.rs`).
fn member(url: &str, callers: u32, load_ms: u32) -> tokio::process::Child {
    let mut program = std::env::current_exe().unwrap();
    // target/…/deps/it-… beside target/…/examples/fleet_member
    program.pop();
    program.pop();
    program.push("examples/fleet_member");
    tokio::process::Command::new(program)
        .args([url, &callers.to_string(), &load_ms.to_string()])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn served(member: tokio::process::Child) -> u32 {
    let output = member.wait_with_output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_thousand_misses_of_four_processes_make_one_load() {
    let server = RedisServer::start().await.unwrap();
    let members: Vec<_> = (0..4).map(|_| member(&server.url(), 250, 300)).collect();
    let mut all = 0;
    for member in members {
        all += served(member).await;
    }
    assert_eq!(all, 1000);
    assert_eq!(server.command(&["GET", "picarcade:loads"]).await.unwrap(), "1");
}

#[tokio::test]
async fn when_the_loading_process_is_killed_another_one_loads() {
    let server = RedisServer::start().await.unwrap();
    let mut first = member(&server.url(), 1, 600_000);
    let loads = async || server.command(&["GET", "picarcade:loads"]).await.unwrap();
    eventually("the first one loads", async || loads().await == "1").await;
    let second = member(&server.url(), 10, 10);
    first.kill().await.unwrap();
    assert_eq!(served(second).await, 10);
    assert_eq!(loads().await, "2");
}
