//! The contract of a second level, run against every implementation.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use picarcade_cache::{KeyVersion, Remote, RemoteEvent, Scope, Tag, TagVersion};

use crate::{in_memory::InMemoryRemote, support::key};

const LONG: Duration = Duration::from_secs(100);
const SPACE: &str = "conformance";

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Arc::new(super::InMemoryRemote::new())).await;
            })*
        }

        #[cfg(feature = "disk")]
        mod disk {
            $(#[tokio::test]
            async fn $test() {
                let directory = tempfile::tempdir().unwrap();
                super::$test(picarcade_cache::DiskRemote::open(directory.path(), 64 << 20).await.unwrap()).await;
            })*
        }

        #[cfg(feature = "redis")]
        mod redis_rs {
            $(#[tokio::test]
            async fn $test() {
                let server = picarcade_testkit::RedisServer::start().await.unwrap();
                let driver = picarcade_redis::DriverKind::Redis;
                super::$test(crate::real_redis::remote(driver, &server.url()).await).await;
            })*
        }

        #[cfg(feature = "fred")]
        mod fred {
            $(#[tokio::test]
            async fn $test() {
                let server = picarcade_testkit::RedisServer::start().await.unwrap();
                let driver = picarcade_redis::DriverKind::Fred;
                super::$test(crate::real_redis::remote(driver, &server.url()).await).await;
            })*
        }

        /// Runs all tests on one cluster, each under its own prefix.
        #[cfg(any(feature = "redis", feature = "fred"))]
        pub async fn all_on_one_cluster(driver: picarcade_redis::DriverKind) {
            let cluster = picarcade_testkit::RedisCluster::start(3).await.unwrap();
            $({
                let prefix = concat!(stringify!($test), ":");
                let remote = crate::real_redis::remote_with(picarcade_redis::Config {
                    driver,
                    prefix: prefix.into(),
                    command_timeout: Duration::from_secs(60),
                    ..picarcade_redis::Config::new(cluster.url())
                });
                $test(remote.await).await;
            })*
        }
    };
}

conformance!(
    a_written_entry_is_read,
    an_entry_expires,
    a_write_from_before_a_removal_is_rejected,
    a_write_from_before_a_replacement_is_rejected,
    the_next_write_keeps_the_version_of_a_removal,
    spaces_and_keys_are_separate,
    any_bytes_are_read_back,
    an_invalidation_changes_the_version_of_its_scope,
    a_lease_has_one_holder,
    messages_reach_every_subscriber,
);

async fn a_written_entry_is_read(remote: Arc<impl Remote>) {
    let nothing = remote.read(SPACE, key(1)).await.unwrap();
    assert_eq!((nothing.version, &nothing.entry), (KeyVersion::NONE, &None));
    assert!(remote.write(SPACE, key(1), "one".into(), LONG, KeyVersion::NONE).await.unwrap());
    assert!(remote.write(SPACE, key(1), "two".into(), LONG, KeyVersion::NONE).await.unwrap());
    assert_eq!(remote.read(SPACE, key(1)).await.unwrap().entry, Some("two".into()));
}

async fn an_entry_expires(remote: Arc<impl Remote>) {
    remote.write(SPACE, key(1), "v".into(), Duration::from_millis(30), KeyVersion::NONE).await.unwrap();
    crate::support::eventually("the entry ends", async || {
        remote.read(SPACE, key(1)).await.unwrap().entry.is_none()
    })
    .await;
}

async fn a_write_from_before_a_removal_is_rejected(remote: Arc<impl Remote>) {
    let before = remote.read(SPACE, key(1)).await.unwrap().version;
    remote.remove(SPACE, key(1), LONG).await.unwrap();
    assert!(!remote.write(SPACE, key(1), "late".into(), LONG, before).await.unwrap());
    let after = remote.read(SPACE, key(1)).await.unwrap();
    assert_eq!(after.entry, None);
    assert!(remote.write(SPACE, key(1), "new".into(), LONG, after.version).await.unwrap());
    remote.remove(SPACE, key(1), LONG).await.unwrap();
    assert_ne!(remote.read(SPACE, key(1)).await.unwrap().version, after.version);
}

async fn a_write_from_before_a_replacement_is_rejected(remote: Arc<impl Remote>) {
    let before = remote.read(SPACE, key(1)).await.unwrap().version;
    remote.replace(SPACE, key(1), "inserted".into(), LONG).await.unwrap();
    assert!(!remote.write(SPACE, key(1), "late".into(), LONG, before).await.unwrap());
    assert_eq!(remote.read(SPACE, key(1)).await.unwrap().entry, Some("inserted".into()));
}

async fn the_next_write_keeps_the_version_of_a_removal(remote: Arc<impl Remote>) {
    let oldest = remote.read(SPACE, key(1)).await.unwrap().version;
    remote.remove(SPACE, key(1), LONG).await.unwrap();
    let seen = remote.read(SPACE, key(1)).await.unwrap().version;
    assert!(remote.write(SPACE, key(1), "new".into(), LONG, seen).await.unwrap());
    assert!(!remote.write(SPACE, key(1), "oldest".into(), LONG, oldest).await.unwrap());
    let record = remote.read(SPACE, key(1)).await.unwrap();
    assert_eq!((record.version, record.entry), (seen, Some("new".into())));
}

async fn spaces_and_keys_are_separate(remote: Arc<impl Remote>) {
    remote.write(SPACE, key(1), "a".into(), LONG, KeyVersion::NONE).await.unwrap();
    assert_eq!(remote.read(SPACE, key(2)).await.unwrap().entry, None);
    assert_eq!(remote.read("other", key(1)).await.unwrap().entry, None);
    remote.remove("other", key(1), LONG).await.unwrap();
    assert_eq!(remote.read(SPACE, key(1)).await.unwrap().entry, Some("a".into()));
}

async fn any_bytes_are_read_back(remote: Arc<impl Remote>) {
    for (n, size) in (0..).zip([0_usize, 1, 8, 9, 10, 255, 70_000, 1 << 20]) {
        let bytes: Bytes = (0..size).map(|i| (i * 31 % 256) as u8).collect();
        remote.write(SPACE, key(n), bytes.clone(), LONG, KeyVersion::NONE).await.unwrap();
        assert_eq!(remote.read(SPACE, key(n)).await.unwrap().entry, Some(bytes));
    }
}

async fn an_invalidation_changes_the_version_of_its_scope(remote: Arc<impl Remote>) {
    let scopes = [Scope::Tag(Tag::new("a")), Scope::All, Scope::Tag(Tag::new("b"))];
    assert_eq!(remote.tag_versions(SPACE, &scopes).await.unwrap(), [TagVersion::NONE; 3]);
    remote.invalidate(SPACE, scopes[2], LONG).await.unwrap();
    let once = remote.tag_versions(SPACE, &scopes).await.unwrap();
    assert!(once[..2] == [TagVersion::NONE; 2] && once[2] != TagVersion::NONE);
    remote.invalidate(SPACE, scopes[2], LONG).await.unwrap();
    assert_ne!(remote.tag_versions(SPACE, &scopes).await.unwrap()[2], once[2]);
    assert_eq!(remote.tag_versions("other", &scopes).await.unwrap(), [TagVersion::NONE; 3]);
    assert!(remote.tag_versions(SPACE, &[]).await.unwrap().is_empty());
}

async fn a_lease_has_one_holder(remote: Arc<impl Remote>) {
    assert!(remote.acquire(SPACE, key(1), 1, LONG).await.unwrap());
    assert!(!remote.acquire(SPACE, key(1), 2, LONG).await.unwrap());
    assert!(remote.acquire(SPACE, key(2), 2, LONG).await.unwrap());
    assert!(remote.renew(SPACE, key(1), 1, LONG).await.unwrap());
    assert!(!remote.renew(SPACE, key(1), 2, LONG).await.unwrap());
    remote.release(SPACE, key(1), 2).await.unwrap();
    assert!(!remote.acquire(SPACE, key(1), 2, LONG).await.unwrap(), "only the holder can give it back");
    remote.release(SPACE, key(1), 1).await.unwrap();
    assert!(remote.acquire(SPACE, key(1), 2, Duration::from_millis(30)).await.unwrap());
    crate::support::eventually("the lease ends", async || {
        remote.acquire(SPACE, key(1), 3, LONG).await.unwrap()
    })
    .await;
}

async fn messages_reach_every_subscriber(remote: Arc<impl Remote>) {
    let mut listeners = [remote.subscribe(SPACE), remote.subscribe(SPACE)];
    let mut other = remote.subscribe("other");
    for listener in listeners.iter_mut().chain([&mut other]) {
        assert_eq!(listener.recv().await, Some(RemoteEvent::Connected));
    }
    remote.publish(SPACE, "hello".into()).await.unwrap();
    for listener in &mut listeners {
        assert_eq!(listener.recv().await, Some(RemoteEvent::Message("hello".into())));
    }
    remote.publish("other", "there".into()).await.unwrap();
    assert_eq!(other.recv().await, Some(RemoteEvent::Message("there".into())));
}
