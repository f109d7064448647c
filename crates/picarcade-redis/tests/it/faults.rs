//! One endpoint and what may happen to it.

use std::time::Duration;

use picarcade_redis::{Config, ConfigError, Error, Event, RedisHandle, Script};
use picarcade_testkit::{Fault, FaultProxy, RedisSentinel, RedisServer};

use crate::support::{SECOND, config, eventually, ready};

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_found_when_it_comes() {
    let server = RedisServer::start().await.unwrap();
    server.kill();
    let redis = RedisHandle::connect(config(server.url())).unwrap();
    assert_eq!(redis.get(b"k").await, Err(Error::Refused));
    assert_eq!(redis.ready(Duration::from_millis(200)).await, Err(Error::Timeout));
    assert!(!redis.status().connected);
    server.restart().await.unwrap();
    redis.ready(SECOND * 20).await.unwrap();
    redis.set(b"k", b"v", None).await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_found_again() {
    let server = RedisServer::start().await.unwrap();
    let redis = ready(config(server.url())).await;
    let script = Script::new("one", "return 1");
    redis.eval(&script, &["k"], &[] as &[&str]).await.unwrap();
    let before = redis.generation();
    server.kill();
    eventually("noticed without a command", async || !redis.status().connected).await;
    assert_eq!(redis.set(b"k", b"v", None).await, Err(Error::Refused));
    server.restart().await.unwrap();
    eventually("found again", async || redis.set(b"k", b"v", None).await.is_ok()).await;
    assert!(redis.generation() > before);
    // The server is a new one, and does not know the script.
    redis.eval(&script, &["k"], &[] as &[&str]).await.unwrap();
}

#[tokio::test]
async fn a_black_hole_ends_commands_at_their_deadline_and_the_connection_is_replaced() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(proxy.url_for("redis"))).await;
    proxy.set(Fault::BlackHole).await;
    let began = tokio::time::Instant::now();
    let error = redis.set(b"k", b"v", None).await.unwrap_err();
    assert!(error.is_outcome_unknown() || error == Error::Refused, "{error:?}");
    assert!(began.elapsed() < SECOND * 10, "ended by its deadline");
    eventually("given up", async || !redis.status().connected).await;
    let began = tokio::time::Instant::now();
    assert_eq!(redis.get(b"k").await, Err(Error::Refused));
    assert!(began.elapsed() < config("").command_timeout, "nobody waits for a connection that is not there");
    proxy.set(Fault::Pass).await;
    eventually("used again", async || redis.get(b"k").await.is_ok()).await;
}

#[tokio::test]
async fn connections_cut_in_any_way_are_replaced() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(proxy.url_for("redis"))).await;
    for fault in
        [Fault::Cut, Fault::Reset, Fault::HalfClose, Fault::CutAfter { bytes: 2 }, Fault::LoseReplies]
    {
        proxy.set(fault).await;
        eventually("noticed", async || redis.get(b"k").await.is_err()).await;
        proxy.set(Fault::Pass).await;
        eventually("replaced", async || redis.get(b"k").await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_writes_is_not_used() {
    let primary = RedisServer::start().await.unwrap();
    let server = RedisServer::start().await.unwrap();
    let redis = ready(config(server.url())).await;
    server.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await.unwrap();
    eventually("the probe writes, and so finds out", async || !redis.status().connected).await;
    assert_eq!(redis.status().last_error, Some("read_only"));
    server.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    eventually("used again", async || redis.set(b"k", b"v", None).await.is_ok()).await;
}

#[tokio::test]
async fn wrong_credentials_and_certificates_are_told_apart() {
    let server = RedisServer::builder().password("right").start().await.unwrap();
    let url = format!("redis://:wrong-hunter2@{}", server.addr());
    let redis = RedisHandle::connect(config(&url)).unwrap();
    eventually("the password is refused", async || redis.status().last_error == Some("auth")).await;
    assert!(!format!("{redis:?}").contains("hunter2"), "no secret in Debug");

    let tls = RedisServer::builder().tls().start().await.unwrap();
    let other = RedisServer::builder().tls().start().await.unwrap();
    let wrong = other.ca_pem().map(|pem| pem.as_bytes().to_vec());
    for ca in [None, wrong] {
        let redis = RedisHandle::connect(Config { ca, ..config(tls.url()) }).unwrap();
        eventually("the certificate is refused", async || redis.status().last_error == Some("tls")).await;
    }
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_connected() {
    let refused = |config: Config| RedisHandle::connect(config).unwrap_err();
    assert_eq!(refused(config("memcached://h")), ConfigError::Scheme { setting: "url" });
    assert!(matches!(refused(config("redis://h:x")), ConfigError::Url { .. }));
    let ca = Config { ca: Some(b"-----BEGIN".to_vec()), ..config("rediss://h") };
    assert!(matches!(refused(ca), ConfigError::Ca { .. }));
}

#[tokio::test]
async fn commands_under_way_are_bounded() {
    let server = RedisServer::start().await.unwrap();
    let redis = ready(Config { max_in_flight: 4, command_timeout: SECOND * 5, ..config(server.url()) }).await;
    server.pause();
    let asks: Vec<_> = (0..20)
        .map(|_| {
            let redis = redis.clone();
            tokio::spawn(async move { redis.get(b"k").await })
        })
        .collect();
    eventually("the rest is refused", async || asks.iter().filter(|ask| ask.is_finished()).count() == 16)
        .await;
    server.resume();
    let mut refused = 0;
    for ask in asks {
        refused += usize::from(ask.await.unwrap() == Err(Error::Overloaded));
    }
    assert_eq!(refused, 16);
    assert!(redis.status().connected, "being busy does not speak against the server");
}

#[tokio::test]
async fn a_subscription_tells_when_it_was_deaf() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(proxy.url_for("redis"))).await;
    let mut events = redis.subscribe("c");
    assert_eq!(events.next().await, Some(Event::Connected { epoch: 1 }));
    proxy.cut_all().await;
    assert_eq!(events.next().await, Some(Event::Lost));
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
        if redis.publish("c", b"still there").await == Ok(1) {
            break;
        }
    }
    assert!(matches!(last, Some(Event::Connected { epoch } ) if epoch > 1), "{last:?}");
    assert_eq!(events.next().await, Some(Event::Message("still there".into())));
}

#[tokio::test]
async fn the_master_is_found_anew_after_a_sentinel_failover() {
    let set = RedisSentinel::start().await.unwrap();
    let redis = ready(config(set.url())).await;
    redis.set(b"k", b"before", None).await.unwrap();
    set.lose_primary().await.unwrap();
    eventually("the new master is used", async || redis.set(b"k", b"after", None).await.is_ok()).await;
    let value = set.primary().await.unwrap().command(&["GET", "picarcade:k"]).await.unwrap();
    assert_eq!(value, "after");
}

#[tokio::test]
async fn the_last_handle_takes_its_connections_along() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(proxy.url_for("redis"))).await;
    let clone = redis.clone();
    drop(redis);
    clone.ping().await.unwrap();
    drop(clone);
    eventually("all closed", async || proxy.connections() == 0).await;
}
