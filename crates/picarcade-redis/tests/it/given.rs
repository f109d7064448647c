//! Existing clients of the user, through the same faults as far as they can survive them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fred::{
    prelude::{ClientLike, Config as FredConfig, ReconnectPolicy},
    types::Builder,
};
use picarcade_redis::{
    Config, Connector, Driver, DriverKind, Error, Fred, RedisHandle, RedisRs, Role, SubscriptionEvent,
};
use picarcade_testkit::RedisServer;

use crate::support::{SECOND, config, eventually, within};

fn settings() -> Config {
    // The URL is not used: no server listens there.
    config(DriverKind::Redis, "redis://127.0.0.1:1")
}

async fn survives_a_restart(server: &RedisServer, redis: &RedisHandle) {
    redis.ready(SECOND * 120).await.unwrap();
    let mut events = redis.subscribe("c").unwrap();
    assert_eq!(within(events.next()).await, Some(SubscriptionEvent::Connected { epoch: 1 }));
    redis.set(b"k", b"v", None).await.unwrap();
    server.kill();
    assert_eq!(within(events.next()).await, Some(SubscriptionEvent::Lost));
    eventually("noticed", async || !redis.status().connected).await;
    server.restart().await.unwrap();
    eventually("used again", async || redis.set(b"k", b"v", None).await.is_ok()).await;
    assert_eq!(within(events.next()).await, Some(SubscriptionEvent::Connected { epoch: 2 }));
    eventually("heard again", async || redis.publish("c", b"m").await == Ok(1)).await;
    assert_eq!(within(events.next()).await, Some(SubscriptionEvent::Message("m".into())));
}

#[tokio::test]
async fn the_connection_of_a_redis_rs_client_is_replaced() {
    let server = RedisServer::start().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let redis = RedisHandle::with_connectors(settings(), RedisRs::connector(client), None).unwrap();
    survives_a_restart(&server, &redis).await;
}

#[tokio::test]
async fn a_fred_client_reconnects_and_its_subscription_reports_it() {
    let server = RedisServer::start().await.unwrap();
    let mut builder = Builder::from_config(FredConfig::from_url(&server.url()).unwrap());
    builder.set_policy(ReconnectPolicy::new_constant(0, 50));
    let client = builder.build().unwrap();
    client.init().await.unwrap();
    let redis = RedisHandle::from_driver(Arc::new(Fred::from_client(client.clone())), settings()).unwrap();
    survives_a_restart(&server, &redis).await;
    drop(redis);
    assert!(client.ping::<String>(None).await.is_ok(), "it is the user's, and lives on");
}

#[tokio::test]
async fn a_broken_connection_without_a_client_stays_refused() {
    let server = RedisServer::start().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let redis =
        RedisHandle::from_driver(Arc::new(RedisRs::from_connection(connection, None)), settings()).unwrap();
    redis.ready(SECOND * 120).await.unwrap();
    server.kill();
    eventually("refused", async || redis.get(b"k").await == Err(Error::Refused)).await;
}

#[tokio::test]
async fn existing_clients_serve_as_primary_and_backup() {
    let (primary, backup) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let connector = |server: &RedisServer| RedisRs::connector(redis::Client::open(server.url()).unwrap());
    let redis =
        RedisHandle::with_connectors(settings(), connector(&primary), Some(connector(&backup))).unwrap();
    redis.ready(SECOND * 120).await.unwrap();
    primary.kill();
    eventually("the backup serves", async || redis.set(b"k", b"v", None).await.is_ok()).await;
    assert_eq!(redis.status().active, Role::Backup);
}

/// Forwards to one server, and after a fail-over to another.
#[derive(Debug)]
struct Promoted {
    before: Arc<dyn Connector>,
    after: Arc<dyn Connector>,
    moved: AtomicBool,
}

#[async_trait::async_trait]
impl Connector for Promoted {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        if self.moved.load(Ordering::SeqCst) { &self.after } else { &self.before }.connect().await
    }
}

#[tokio::test]
async fn a_deletion_that_replication_lost_is_repeated_on_the_new_master() {
    let (old, new) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let connector = |server: &RedisServer| RedisRs::connector(redis::Client::open(server.url()).unwrap());
    let place =
        Arc::new(Promoted { before: connector(&old), after: connector(&new), moved: AtomicBool::new(false) });
    let redis =
        RedisHandle::with_connectors(settings(), Arc::clone(&place) as Arc<dyn Connector>, None).unwrap();
    redis.ready(SECOND * 120).await.unwrap();
    for server in [&old, &new] {
        server.command(&["MSET", "picarcade:deleted", "old", "picarcade:buried", "old"]).await.unwrap();
    }
    redis.delete(b"deleted").await.unwrap();
    redis.delete_with_tombstone(b"buried", b"gone", Duration::from_secs(100)).await.unwrap();
    // The promoted replica had received neither.
    place.moved.store(true, Ordering::SeqCst);
    old.kill();
    eventually("the old master is left", async || !redis.status().connected || redis.generation() > 1).await;
    eventually("the new master serves", async || redis.status().connected).await;
    assert_eq!(redis.get(b"deleted").await.unwrap(), None);
    assert_eq!(redis.get(b"buried").await.unwrap().as_deref(), Some(&b"gone"[..]));
}
