//! The faults of one endpoint.

use std::time::Duration;

use picarcade_redis::{Config, ConfigError, DriverKind, Error, RedisHandle, Script, SubscriptionEvent};
use picarcade_testkit::{Fault, FaultProxy, RedisSentinel, RedisServer};

use crate::support::{SECOND, config, eventually, ready, with_every_driver, within};

with_every_driver!(
    a_server_that_is_down_at_the_start_is_connected_later,
    a_killed_server_is_detected_and_connected_again,
    commands_end_at_their_deadline_and_the_connection_is_replaced,
    cut_connections_are_replaced,
    a_server_that_refuses_writes_is_not_used,
    wrong_credentials_and_certificates_have_different_errors,
    unusable_settings_are_rejected_before_connecting,
    oversized_keys_and_values_are_rejected_before_sending,
    a_deletion_completes_even_if_its_caller_leaves,
    a_command_is_sent_at_most_once,
    an_abandoned_connection_attempt_leaves_no_connection,
    commands_in_flight_are_bounded,
    a_subscription_reports_when_messages_may_be_missed,
    the_new_master_is_resolved_after_a_sentinel_failover,
    dropping_the_last_handle_closes_its_connections,
);

async fn a_server_that_is_down_at_the_start_is_connected_later(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    server.kill();
    let redis = RedisHandle::connect(config(driver, server.url())).unwrap();
    assert_eq!(redis.get(b"k").await, Err(Error::Refused));
    assert_eq!(redis.ready(Duration::from_millis(200)).await, Err(Error::Timeout));
    assert!(!redis.status().connected);
    server.restart().await.unwrap();
    redis.ready(SECOND * 120).await.unwrap();
    redis.set(b"k", b"v", None).await.unwrap();
}

async fn a_killed_server_is_detected_and_connected_again(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis = ready(config(driver, server.url())).await;
    let script = Script::new("one", "return 1");
    redis.eval(&script, &["k"], &[] as &[&str]).await.unwrap();
    let before = redis.generation();
    server.kill();
    eventually("noticed without a command", async || !redis.status().connected).await;
    assert_eq!(redis.set(b"k", b"v", None).await, Err(Error::Refused));
    server.restart().await.unwrap();
    eventually("found again", async || redis.set(b"k", b"v", None).await.is_ok()).await;
    assert!(redis.generation() > before);
    // The restarted server does not know the script.
    redis.eval(&script, &["k"], &[] as &[&str]).await.unwrap();
}

async fn commands_end_at_their_deadline_and_the_connection_is_replaced(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(driver, proxy.url_for("redis"))).await;
    proxy.set(Fault::BlackHole).await;
    let error = within(redis.set(b"k", b"v", None)).await.unwrap_err();
    assert!(error.is_outcome_unknown() || error == Error::Refused, "{error:?}");
    eventually("given up", async || !redis.status().connected).await;
    // A command that waited for a connection would end with a timeout.
    assert_eq!(redis.get(b"k").await, Err(Error::Refused));
    proxy.set(Fault::Pass).await;
    eventually("used again", async || redis.get(b"k").await.is_ok()).await;
}

async fn cut_connections_are_replaced(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(driver, proxy.url_for("redis"))).await;
    for fault in
        [Fault::Cut, Fault::Reset, Fault::HalfClose, Fault::CutAfter { bytes: 2 }, Fault::LoseReplies]
    {
        proxy.set(fault).await;
        eventually("noticed", async || redis.get(b"k").await.is_err()).await;
        proxy.set(Fault::Pass).await;
        eventually("replaced", async || redis.get(b"k").await.is_ok()).await;
    }
}

async fn a_server_that_refuses_writes_is_not_used(driver: DriverKind) {
    let primary = RedisServer::start().await.unwrap();
    let server = RedisServer::start().await.unwrap();
    let redis = ready(config(driver, server.url())).await;
    server.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await.unwrap();
    eventually("the write of the probe fails", async || !redis.status().connected).await;
    assert_eq!(redis.status().last_error, Some("read_only"));
    server.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    eventually("used again", async || redis.set(b"k", b"v", None).await.is_ok()).await;
}

async fn wrong_credentials_and_certificates_have_different_errors(driver: DriverKind) {
    // These fail as soon as the server has refused, long before the deadline.
    let refused = async |config: Config| {
        let redis = RedisHandle::connect(config).unwrap();
        let error = within(redis.ready(SECOND * 3600)).await.unwrap_err();
        assert_eq!(redis.get(b"k").await.unwrap_err(), error, "commands say the same");
        assert_eq!(redis.status().last_error, Some(error.kind()));
        assert!(!format!("{redis:?} {error:?} {error}").contains("hunter2"), "no secret in it");
        error
    };
    let server = RedisServer::builder().password("right").start().await.unwrap();
    let url = format!("redis://:wrong-hunter2@{}", server.addr());
    assert_eq!(refused(config(driver, &url)).await, Error::Auth);
    assert_eq!(refused(config(driver, format!("redis://{}", server.addr()))).await, Error::Auth);

    let tls = RedisServer::builder().tls().start().await.unwrap();
    let other = RedisServer::builder().tls().start().await.unwrap();
    let wrong = other.ca_pem().map(|pem| pem.as_bytes().to_vec());
    for ca in [None, wrong] {
        assert_eq!(refused(Config { ca, ..config(driver, tls.url()) }).await, Error::Tls);
    }

    // With an active backup, a wrong password of the primary does not make the handle unavailable.
    let backup = RedisServer::start().await.unwrap();
    let redis = ready(Config { backup_url: Some(backup.url()), ..config(driver, &url) }).await;
    redis.set(b"k", b"v", None).await.unwrap();
}

async fn unusable_settings_are_rejected_before_connecting(driver: DriverKind) {
    let refused = |config: Config| RedisHandle::connect(config).unwrap_err();
    assert_eq!(refused(config(driver, "memcached://h")), ConfigError::Scheme { setting: "url" });
    assert!(matches!(refused(config(driver, "redis://h:x")), ConfigError::Url { .. }));
    let ca = Config { ca: Some(b"-----BEGIN".to_vec()), ..config(driver, "rediss://h") };
    assert!(matches!(refused(ca), ConfigError::Ca { .. }));
    let limit = Config { max_value_bytes: 0, ..config(driver, "redis://h") };
    assert!(matches!(refused(limit), ConfigError::Range { .. }));
}

async fn oversized_keys_and_values_are_rejected_before_sending(driver: DriverKind) {
    // No server listens here, so the refusal does not come from a server.
    let limits = Config { max_key_bytes: 20, max_value_bytes: 10, ..config(driver, "redis://127.0.0.1:1") };
    let redis = RedisHandle::connect(limits).unwrap();
    let (long, large) = ("hunter2-hunter2", b"hunter2-hunter2");
    let script = Script::new("nothing", "return 1");
    let keys = [
        redis.get(long.as_bytes()).await.unwrap_err(),
        redis.get_many(&["k", long]).await.unwrap_err(),
        redis.set(long.as_bytes(), b"v", None).await.unwrap_err(),
        redis.delete(long.as_bytes()).await.unwrap_err(),
        redis.delete_with_tombstone(long.as_bytes(), b"v", SECOND).await.unwrap_err(),
        redis.eval(&script, &[long], &["a"]).await.unwrap_err(),
        redis.publish(long, b"v").await.unwrap_err(),
        redis.subscribe(long).unwrap_err(),
    ];
    let values = [
        redis.set(b"k", large, None).await.unwrap_err(),
        redis.delete_with_tombstone(b"k", large, SECOND).await.unwrap_err(),
        redis.eval(&script, &["k"], &[large]).await.unwrap_err(),
        redis.publish("c", large).await.unwrap_err(),
    ];
    for error in keys {
        assert_eq!(error, Error::TooLarge { what: "key", limit: 20 });
        assert!(!error.is_transient() && !format!("{error:?} {error}").contains("hunter2"));
    }
    for error in values {
        assert_eq!(error, Error::TooLarge { what: "value", limit: 10 });
    }
    assert_eq!(redis.status().pending_invalidations, 0, "nothing is remembered of it");
    assert_eq!(redis.get(b"0123456789").await, Err(Error::Refused), "as long as it may be");
}

async fn a_deletion_completes_even_if_its_caller_leaves(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis = ready(config(driver, server.url())).await;
    redis.set(b"k", b"old", None).await.unwrap();
    server.pause();
    {
        let mut leaving = std::pin::pin!(redis.delete(b"k"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(leaving.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(redis.status().pending_invalidations, 1);
    server.resume();
    eventually("it is gone", async || redis.get(b"k").await == Ok(None)).await;
    eventually("no invalidation is pending", async || redis.status().pending_invalidations == 0).await;
}

async fn a_command_is_sent_at_most_once(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(driver, proxy.url_for("redis"))).await;
    let count = Script::new("count", "return redis.call('INCR', KEYS[1])");
    let mut sent = 0;
    while sent < 5 {
        eventually("connected", async || redis.ping().await.is_ok()).await;
        // The server executes the command, and the connection ends before the answer.
        proxy.set(Fault::CutAfter { bytes: 1 }).await;
        match redis.eval(&count, &["k"], &[] as &[&str]).await {
            Err(Error::Refused) => {}
            _ => sent += 1,
        }
        proxy.set(Fault::Pass).await;
    }
    eventually("connected", async || redis.ping().await.is_ok()).await;
    let done: u32 = server.command(&["GET", "picarcade:k"]).await.unwrap().parse().unwrap_or(0);
    assert!(done <= sent, "{done} of {sent}");
}

async fn an_abandoned_connection_attempt_leaves_no_connection(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    proxy.set(Fault::BlackHole).await;
    let quick =
        Config { connect_timeout: Duration::from_millis(100), ..config(driver, proxy.url_for("redis")) };
    let redis = RedisHandle::connect(quick).unwrap();
    eventually("given up more than once", async || proxy.accepted() >= 3).await;
    drop(redis);
    // An attempt that is still running would succeed now and stay connected.
    proxy.set(Fault::Pass).await;
    eventually("all closed", async || proxy.connections() == 0).await;
}

async fn commands_in_flight_are_bounded(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis =
        ready(Config { max_in_flight: 4, command_timeout: SECOND * 120, ..config(driver, server.url()) })
            .await;
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

async fn a_subscription_reports_when_messages_may_be_missed(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(driver, proxy.url_for("redis"))).await;
    let mut events = redis.subscribe("c").unwrap();
    assert_eq!(events.next().await, Some(SubscriptionEvent::Connected { epoch: 1 }));
    proxy.cut_all().await;
    assert_eq!(events.next().await, Some(SubscriptionEvent::Lost));
    // The connection for commands was cut too. When it is replaced, the subscription moves once
    // more.
    let (mut last, mut heard) = (0, None);
    eventually("a subscriber listens", async || {
        let _ = redis.publish("c", b"still there").await;
        while let Ok(Some(event)) = tokio::time::timeout(SECOND / 10, events.next()).await {
            match event {
                SubscriptionEvent::Connected { epoch } => last = epoch,
                SubscriptionEvent::Message(message) => heard = Some(message),
                SubscriptionEvent::Lost => {}
            }
        }
        heard.is_some()
    })
    .await;
    assert_eq!((heard, last > 1), (Some("still there".into()), true));
}

async fn the_new_master_is_resolved_after_a_sentinel_failover(driver: DriverKind) {
    let set = RedisSentinel::start().await.unwrap();
    let redis = ready(config(driver, set.url())).await;
    redis.set(b"k", b"before", None).await.unwrap();
    set.lose_primary().await.unwrap();
    eventually("the new master is used", async || redis.set(b"k", b"after", None).await.is_ok()).await;
    let value = set.primary().await.unwrap().command(&["GET", "picarcade:k"]).await.unwrap();
    assert_eq!(value, "after");
}

async fn dropping_the_last_handle_closes_its_connections(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = ready(config(driver, proxy.url_for("redis"))).await;
    let clone = redis.clone();
    drop(redis);
    clone.ping().await.unwrap();
    drop(clone);
    eventually("all closed", async || proxy.connections() == 0).await;
}
