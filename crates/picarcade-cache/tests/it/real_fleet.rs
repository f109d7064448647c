//! Several instances and several processes over one real server.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use picarcade_cache::{Cache, CacheSource, Loaded, Options, Remote};
use picarcade_redis::DriverKind;
use picarcade_testkit::{FaultProxy, RedisServer};

use crate::{
    real_redis::remote,
    support::{Broken, Faulty, eventually, key, with_every_driver},
};

const SECOND: Duration = Duration::from_secs(1);

with_every_driver!(
    a_late_write_loses_in_both_levels,
    only_the_values_of_the_removed_tag_are_removed_everywhere,
    a_lost_message_is_detected,
    a_cut_connection_is_detected_and_memory_is_verified,
);

// The processes run an example that needs both drivers.
#[cfg(all(feature = "redis", feature = "fred"))]
mod processes {
    use picarcade_redis::DriverKind;
    use picarcade_testkit::RedisServer;

    use crate::support::{eventually, with_every_driver};

    with_every_driver!(
        a_thousand_misses_of_four_processes_make_one_load,
        another_process_loads_when_the_loading_process_is_killed
    );

    /// Starts a process that asks for one key (see `examples/fleet_member.rs`).
    fn member(driver: DriverKind, url: &str, callers: u32, load_ms: u32) -> tokio::process::Child {
        let word = if driver == DriverKind::Fred { "fred" } else { "redis" };
        let mut program = std::env::current_exe().unwrap();
        // From target/…/deps/it-… to target/…/examples/fleet_member.
        program.pop();
        program.pop();
        program.push("examples/fleet_member");
        tokio::process::Command::new(program)
            .args([url, &callers.to_string(), &load_ms.to_string(), word])
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn served(member: tokio::process::Child) -> u32 {
        let output = member.wait_with_output().await.unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    async fn a_thousand_misses_of_four_processes_make_one_load(driver: DriverKind) {
        let server = RedisServer::start().await.unwrap();
        let members: Vec<_> = (0..4).map(|_| member(driver, &server.url(), 250, 300)).collect();
        let mut all = 0;
        for member in members {
            all += served(member).await;
        }
        assert_eq!(all, 1000);
        assert_eq!(server.command(&["GET", "picarcade:loads"]).await.unwrap(), "1");
    }

    async fn another_process_loads_when_the_loading_process_is_killed(driver: DriverKind) {
        let server = RedisServer::start().await.unwrap();
        let mut first = member(driver, &server.url(), 1, 600_000);
        let loads = async || server.command(&["GET", "picarcade:loads"]).await.unwrap();
        eventually("the first one loads", async || loads().await == "1").await;
        let second = member(driver, &server.url(), 10, 10);
        first.kill().await.unwrap();
        assert_eq!(served(second).await, 10);
        assert_eq!(loads().await, "2");
    }
}

/// Returns an instance with its own connection.
async fn instance(driver: DriverKind, url: &str) -> Cache<String> {
    build(remote(driver, url).await).await
}

async fn build(remote: Arc<dyn Remote>) -> Cache<String> {
    let remote = Faulty::new(remote);
    let cache = Cache::builder("test").remote(Arc::clone(&remote) as Arc<dyn Remote>).build().unwrap();
    // Messages from before the subscription do not arrive.
    eventually("the cache listens", async || remote.is_listened_to.load(Ordering::SeqCst)).await;
    cache
}

async fn a_late_write_loses_in_both_levels(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let (one, other) = (instance(driver, &server.url()).await, instance(driver, &server.url()).await);
    for way in 0..4 {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
        let load = move || async move {
            begun.send(()).unwrap();
            goes_on.await.unwrap();
            Ok::<_, Broken>(Loaded::new("late".to_string()))
        };
        let loading = one.get_or_load_with(key(way), Options::default().tag("t"), load);
        let invalidating = async {
            begins.await.unwrap();
            match way {
                0 => other.remove(key(way)).await,
                1 => other.remove_by_tag("t").await,
                2 => other.clear().await,
                _ => other.insert(key(way), "inserted".to_string()).await.unwrap(),
            };
            go_on.send(()).unwrap();
        };
        let (loaded, ()) = tokio::join!(loading, invalidating);
        assert_eq!(loaded.unwrap().value.as_str(), "late", "the waiters get the value");
        assert!(one.drain(SECOND * 120).await);
        let expected = (way == 3).then_some("inserted");
        let third = instance(driver, &server.url()).await;
        let kept = third.get(key(way)).await.map(|found| found.value.to_string());
        assert_eq!(kept.as_deref(), expected, "the second level, way {way}");
        eventually("the first level of the loading instance agrees", async || {
            one.get(key(way)).await.map(|found| found.value.to_string()).as_deref() == expected
        })
        .await;
    }
}

async fn only_the_values_of_the_removed_tag_are_removed_everywhere(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let fleet = [instance(driver, &server.url()).await, instance(driver, &server.url()).await];
    for cache in &fleet {
        for n in 0..6 {
            let tag = if n % 2 == 0 { "user:alice" } else { "user:bob" };
            let load = || async { Ok::<_, Broken>(Loaded::new("v".to_string())) };
            cache.get_or_load_with(key(n), Options::default().tag(tag), load).await.unwrap();
            assert!(cache.drain(SECOND * 120).await);
        }
    }
    fleet[0].remove_by_tag("user:alice").await;
    for cache in &fleet {
        for n in 0..6 {
            eventually("only the values of alice are removed", async || {
                cache.get(key(n)).await.is_some() == (n % 2 == 1)
            })
            .await;
        }
    }
}

async fn a_lost_message_is_detected(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let faulty = Faulty::new(remote(driver, &server.url()).await);
    let (deaf, other) =
        (build(Arc::clone(&faulty) as Arc<dyn Remote>).await, instance(driver, &server.url()).await);
    deaf.insert(key(1), "old".to_string()).await.unwrap();
    eventually("it is there", async || other.get(key(1)).await.is_some()).await;
    faulty.loses_messages.store(true, Ordering::SeqCst);
    deaf.remove(key(1)).await;
    // The next `Alive` message of the sender, within seconds, reveals the gap.
    eventually("the gap is noticed", async || other.statistics().suspicions > 0).await;
    assert!(other.get(key(1)).await.is_none());
}

async fn a_cut_connection_is_detected_and_memory_is_verified(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let (one, other) =
        (instance(driver, &server.url()).await, instance(driver, &proxy.url_for("redis")).await);
    for n in 1..3 {
        one.insert(key(n), "old".to_string()).await.unwrap();
        eventually("it is there", async || other.get(key(n)).await.is_some()).await;
    }
    proxy.set(picarcade_testkit::Fault::Cut).await;
    one.remove(key(1)).await;
    proxy.set(picarcade_testkit::Fault::Pass).await;
    eventually("the reconnect is noticed", async || other.statistics().suspicions > 0).await;
    // No key is found until the connection for commands is back, and the subscription may have
    // restarted before the cut.
    eventually("checked: one is gone, the other kept", async || {
        other.get(key(1)).await.is_none()
            && other
                .get(key(2))
                .await
                .is_some_and(|kept| matches!(kept.source, CacheSource::L1 | CacheSource::L2))
    })
    .await;
}
