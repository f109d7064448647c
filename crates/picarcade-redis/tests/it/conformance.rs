//! The contract of a driver, run against every driver and every topology.

use std::{any::Any, sync::Arc, time::Duration};

use picarcade_redis::{Condition, Config, Driver, DriverKind, Error, RedisHandle, Script, SubscriptionEvent};
use picarcade_testkit::{RedisCluster, RedisSentinel, RedisServer};

use crate::support::{SECOND, config, eventually, ready, within};

macro_rules! against {
    ($name:ident, $driver:ident, $place:ident, [$($test:ident),* $(,)?]) => {
        mod $name {
            $(#[tokio::test]
            async fn $test() {
                let place = super::$place().await;
                let driver = picarcade_redis::DriverKind::$driver;
                super::$test(place.handle(driver).await).await;
            })*
        }
    };
}

macro_rules! everywhere {
    ($($test:ident),* $(,)?) => {
        #[cfg(feature = "redis")]
        mod redis_rs {
            use super::*;
            against!(standalone, Redis, standalone, [$($test),*]);
            against!(tls, Redis, tls, [$($test),*]);
            against!(cluster, Redis, cluster, [$($test),*]);
            against!(sentinel, Redis, sentinel, [$($test),*]);
            against!(pair, Redis, pair, [$($test),*]);
            against!(backup, Redis, backup, [$($test),*]);
            against!(given, Redis, given_to_redis_rs, [$($test),*]);
        }

        #[cfg(feature = "fred")]
        mod fred {
            use super::*;
            against!(standalone, Fred, standalone, [$($test),*]);
            against!(tls, Fred, tls, [$($test),*]);
            against!(cluster, Fred, cluster, [$($test),*]);
            against!(sentinel, Fred, sentinel, [$($test),*]);
            against!(pair, Fred, pair, [$($test),*]);
            against!(backup, Fred, backup, [$($test),*]);
            against!(given, Fred, given_to_fred, [$($test),*]);
        }
    };
}

everywhere!(
    values_live_for_their_time_to_live,
    concurrent_reads_get_their_own_values,
    writes_respect_their_condition,
    deletions_and_tombstones_take_effect,
    scripts_run_by_hash_and_are_sent_when_unknown,
    replies_keep_their_shape,
    server_errors_are_classified_by_their_code,
    messages_reach_only_the_subscribers_of_their_channel,
    the_status_describes_the_active_endpoint,
);

/// A Redis of some kind, which runs while this value lives.
struct Place {
    url: String,
    backup_url: Option<String>,
    ca: Option<Vec<u8>>,
    /// An existing client of the user.
    given: Option<Arc<dyn Driver>>,
    servers: Box<dyn Any + Send>,
}

impl Place {
    fn new(url: String, servers: impl Any + Send) -> Self {
        Self { url, backup_url: None, ca: None, given: None, servers: Box::new(servers) }
    }

    async fn handle(&self, driver: DriverKind) -> RedisHandle {
        // Names are resolved and certificates verified, which takes time on a busy machine.
        let config = Config {
            backup_url: self.backup_url.clone(),
            ca: self.ca.clone(),
            connect_timeout: SECOND * 30,
            command_timeout: SECOND * 30,
            ..config(driver, &self.url)
        };
        let Some(given) = &self.given else { return ready(config).await };
        let handle = RedisHandle::from_driver(Arc::clone(given), config).unwrap();
        handle.ready(SECOND * 120).await.unwrap();
        handle
    }
}

async fn standalone() -> Place {
    let server = RedisServer::builder().password("p@ss word/%").start().await.unwrap();
    Place::new(server.url(), server)
}

async fn tls() -> Place {
    let server = RedisServer::builder().tls().password("secret").start().await.unwrap();
    let ca = server.ca_pem().map(|pem| pem.as_bytes().to_vec());
    Place { ca, ..Place::new(server.url(), server) }
}

async fn cluster() -> Place {
    let cluster = RedisCluster::start(3).await.unwrap();
    Place::new(cluster.url(), cluster)
}

async fn sentinel() -> Place {
    let sentinel = RedisSentinel::start_with_password("secret").await.unwrap();
    Place::new(sentinel.url(), sentinel)
}

/// A primary that is active, and a backup.
async fn pair() -> Place {
    let (primary, backup) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let backup_url = Some(backup.url());
    Place { backup_url, ..Place::new(primary.url(), (primary, backup)) }
}

/// A backup that is active, because the primary is down.
async fn backup() -> Place {
    let place = pair().await;
    let servers = place.servers.downcast_ref::<(RedisServer, RedisServer)>().unwrap();
    servers.0.kill();
    place
}

/// A redis-rs client of the user.
#[cfg(feature = "redis")]
async fn given_to_redis_rs() -> Place {
    let server = RedisServer::start().await.unwrap();
    let client = ::redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let given = Arc::new(picarcade_redis::RedisRs::from_connection(connection, Some(client)));
    Place { given: Some(given), ..Place::new(server.url(), server) }
}

/// A fred client of the user.
#[cfg(feature = "fred")]
async fn given_to_fred() -> Place {
    use ::fred::prelude::ClientLike;
    let server = RedisServer::start().await.unwrap();
    let config = ::fred::types::config::Config::from_url(&server.url()).unwrap();
    let client = ::fred::types::Builder::from_config(config).build().unwrap();
    client.init().await.unwrap();
    let given = Arc::new(picarcade_redis::Fred::from_client(client));
    Place { given: Some(given), ..Place::new(server.url(), server) }
}

async fn values_live_for_their_time_to_live(redis: RedisHandle) {
    assert_eq!(redis.get(b"k").await.unwrap(), None);
    let pttl = Script::new("pttl", "return redis.call('PTTL', KEYS[1])");
    let milliseconds_left =
        async || redis.eval(&pttl, &["k"], &[] as &[&str]).await.unwrap().as_int().unwrap();
    redis.set(b"k", b"\0binary\xff", Some(SECOND * 100)).await.unwrap();
    assert_eq!(redis.get(b"k").await.unwrap().as_deref(), Some(&b"\0binary\xff"[..]));
    let left = milliseconds_left().await;
    assert!((60_001..=100_000).contains(&left), "{left}");
    redis.set(b"k", b"", None).await.unwrap();
    assert_eq!(redis.get(b"k").await.unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(milliseconds_left().await, -1, "for ever");
    redis.set(b"short", b"v", Some(Duration::from_micros(1))).await.unwrap();
    eventually("it ends", async || redis.get(b"short").await.unwrap().is_none()).await;
    let large = vec![7; 1 << 20];
    redis.set(b"large", &large, Some(SECOND * 100)).await.unwrap();
    assert_eq!(redis.get(b"large").await.unwrap().unwrap(), large);

    let names: Vec<String> = (0..50).map(|n| format!("many:{n}")).collect();
    for name in names.iter().step_by(2) {
        redis.set(name.as_bytes(), name.as_bytes(), Some(SECOND * 100)).await.unwrap();
    }
    let values = redis.get_many(&names).await.unwrap();
    for (n, (name, value)) in names.iter().zip(values).enumerate() {
        assert_eq!(value.as_deref(), (n % 2 == 0).then_some(name.as_bytes()));
    }
}

async fn concurrent_reads_get_their_own_values(redis: RedisHandle) {
    let names: Vec<String> = (0..100).map(|n| format!("many:{n}")).collect();
    for name in names.iter().step_by(2) {
        redis.set(name.as_bytes(), name.as_bytes(), Some(SECOND * 100)).await.unwrap();
    }
    let values = futures_util::future::join_all(names.iter().map(|name| redis.get(name.as_bytes()))).await;
    for (n, (name, value)) in names.iter().zip(values).enumerate() {
        assert_eq!(value.unwrap().as_deref(), (n % 2 == 0).then_some(name.as_bytes()), "{name}");
    }
}

async fn writes_respect_their_condition(redis: RedisHandle) {
    let set = async |condition| redis.set_if(b"k", b"v", Some(SECOND * 100), condition).await.unwrap();
    assert!(!set(Condition::Present).await);
    assert!(set(Condition::Absent).await);
    assert!(!set(Condition::Absent).await);
    assert!(set(Condition::Present).await);
    assert!(set(Condition::Always).await);
}

async fn deletions_and_tombstones_take_effect(redis: RedisHandle) {
    for n in 0..10 {
        let key = format!("k{n}");
        redis.set(key.as_bytes(), b"v", Some(SECOND * 100)).await.unwrap();
        if n % 2 == 0 {
            redis.delete(key.as_bytes()).await.unwrap();
            assert_eq!(redis.get(key.as_bytes()).await.unwrap(), None);
        } else {
            redis.delete_with_tombstone(key.as_bytes(), b"gone", SECOND * 100).await.unwrap();
            assert_eq!(redis.get(key.as_bytes()).await.unwrap().as_deref(), Some(&b"gone"[..]));
        }
    }
    redis.delete(b"never there").await.unwrap();
}

async fn scripts_run_by_hash_and_are_sent_when_unknown(redis: RedisHandle) {
    let add = Script::new("add", "redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])");
    for round in 1..=3 {
        // On a cluster, a key may be on a node that does not know the script.
        for key in ["{a}", "{b}", "{c}", "{d}", "{e}"] {
            let sum = redis.eval(&add, &[key, key], &["5"]).await.unwrap();
            assert_eq!(sum.as_int().unwrap(), round * 5);
        }
    }
}

async fn replies_keep_their_shape(redis: RedisHandle) {
    let script = Script::new("shapes", "return {1, 'two', {3, false}, redis.status_reply('fine'), ARGV[1]}");
    let reply = redis.eval(&script, &["k"], &[b"\xff\0".as_slice()]).await.unwrap();
    let parts = reply.as_array().unwrap();
    assert_eq!(parts[0].as_int().unwrap(), 1);
    assert_eq!(parts[1].as_bytes().unwrap().unwrap(), "two");
    assert_eq!(parts[2].as_array().unwrap()[0].as_int().unwrap(), 3);
    assert_eq!(parts[2].as_array().unwrap()[1].as_bytes().unwrap(), None);
    assert_eq!(parts[3].as_bytes().unwrap().unwrap(), "fine");
    assert_eq!(parts[4].as_bytes().unwrap().unwrap().as_ref(), b"\xff\0");
}

async fn server_errors_are_classified_by_their_code(redis: RedisHandle) {
    redis.set(b"k", b"not a number", None).await.unwrap();
    let push = Script::new("push", "return redis.call('LPUSH', KEYS[1], 'x')");
    let error = redis.eval(&push, &["k"], &[] as &[&str]).await.unwrap_err();
    assert!(matches!(&error, Error::Protocol { code } if code == "WRONGTYPE" || code == "ERR"), "{error:?}");
    assert!(!error.is_transient() && !error.to_string().contains("LPUSH"));
    let fails = Script::new("fails", "return redis.error_reply('MYERR secret words')");
    let error = redis.eval(&fails, &["k"], &[] as &[&str]).await.unwrap_err();
    assert_eq!(error, Error::Protocol { code: "MYERR".into() });
    assert!(redis.status().connected, "a command's error does not speak against the server");
}

async fn messages_reach_only_the_subscribers_of_their_channel(redis: RedisHandle) {
    let (mut one, mut other) = (redis.subscribe("one").unwrap(), redis.subscribe("other").unwrap());
    assert_eq!(within(one.next()).await, Some(SubscriptionEvent::Connected { epoch: 1 }));
    assert_eq!(within(other.next()).await, Some(SubscriptionEvent::Connected { epoch: 1 }));
    for n in 0..100_u8 {
        redis.publish("one", &[n, 0xff]).await.unwrap();
    }
    redis.publish("other", b"o").await.unwrap();
    for n in 0..100_u8 {
        assert_eq!(
            within(one.next()).await,
            Some(SubscriptionEvent::Message(vec![n, 0xff].into())),
            "in order"
        );
    }
    assert_eq!(within(other.next()).await, Some(SubscriptionEvent::Message("o".into())));
}

async fn the_status_describes_the_active_endpoint(redis: RedisHandle) {
    redis.ping().await.unwrap();
    eventually("memory is known", async || redis.status().used_memory_bytes.is_some()).await;
    let status = redis.status();
    assert!(status.connected && status.generation > 0 && status.latency_ms.is_some());
    assert_eq!(status.pending_invalidations, 0);
}
