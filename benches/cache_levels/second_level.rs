//! A hit in Redis next to the raw drivers, one at a time and from 64 tasks.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput};
use fred::{clients::Client as Fred, interfaces::KeysInterface};
use picarcade_benches::{each, in_turn, is_wanted};
use picarcade_cache::{Cache, Key};
use picarcade_redis::DriverKind;
use picarcade_testkit::RedisServer;
use redis::aio::MultiplexedConnection;

use crate::set_up::{
    KEYS, from_64_tasks, key, load, one_thread, raw_fred, remote, runtime, two_levels, value,
};

/// Our cache with either driver, and the drivers alone, all over connections of one runtime.
struct Rivals {
    ours: Cache<String>,
    ours_by_fred: Cache<String>,
    redis_rs: MultiplexedConnection,
    fred: Fred,
}

async fn rivals(server: &RedisServer) -> Rivals {
    let client = redis::Client::open(server.url()).unwrap();
    // No delay, as in the handle, so that a default does not slow down the peer.
    let info = client.get_connection_info().clone();
    let no_delay = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    let client = redis::Client::open(info.set_tcp_settings(no_delay)).unwrap();
    Rivals {
        ours: two_levels(&remote(server, DriverKind::Redis).await, 1),
        ours_by_fred: two_levels(&remote(server, DriverKind::Fred).await, 1),
        redis_rs: client.get_multiplexed_async_connection().await.unwrap(),
        fred: raw_fred(server).await,
    }
}

async fn by_redis_rs(mut connection: MultiplexedConnection, name: &str) {
    let mut command = redis::cmd("GET");
    command.arg(name);
    let bytes: Vec<u8> = command.query_async(&mut connection).await.unwrap();
    black_box(bytes);
}

async fn by_fred(client: Fred, name: &str) {
    let bytes: Vec<u8> = client.get(name).await.unwrap();
    black_box(bytes);
}

pub(crate) fn second_level(c: &mut Criterion) {
    let runtime = runtime();
    let server = runtime.block_on(RedisServer::start()).unwrap();
    let keys: Arc<Vec<Key>> = Arc::new((0..KEYS).map(key).collect());
    let names: Arc<Vec<String>> = Arc::new(keys.iter().map(|key| format!("raw:{key}")).collect());
    let rivals_of_two = runtime.block_on(async {
        let rivals = rivals(&server).await;
        for (key, name) in keys.iter().zip(names.iter()) {
            rivals.ours.insert(key, value()).await.unwrap();
            redis::cmd("SET").arg(name).arg(value()).exec_async(&mut rivals.redis_rs.clone()).await.unwrap();
        }
        rivals
    });

    one_at_a_time(&server, &keys, &names);

    let Rivals { ours, ours_by_fred, redis_rs, fred } = rivals_of_two;
    let mut group = c.benchmark_group("second_level/64_tasks");
    group.throughput(Throughput::Elements(1));
    let through_the_cache = |cache: &Cache<String>, count: u64| {
        let (cache, keys) = (cache.clone(), Arc::clone(&keys));
        runtime.block_on(from_64_tasks(count, move |n| {
            let (cache, key) = (cache.clone(), keys[n as usize]);
            async move { drop(black_box(cache.get(&key).await.unwrap())) }
        }))
    };
    group.bench_function("picarcade get", |b| b.iter_custom(|count| through_the_cache(&ours, count)));
    group.bench_function("redis-rs GET", |b| {
        b.iter_custom(|count| {
            let (connection, names) = (redis_rs.clone(), Arc::clone(&names));
            runtime.block_on(from_64_tasks(count, move |n| {
                let (connection, names) = (connection.clone(), Arc::clone(&names));
                async move { by_redis_rs(connection, &names[n as usize]).await }
            }))
        });
    });
    group.bench_function("picarcade get, fred", |b| {
        b.iter_custom(|count| through_the_cache(&ours_by_fred, count));
    });
    group.bench_function("fred GET", |b| {
        b.iter_custom(|count| {
            let (client, names) = (fred.clone(), Arc::clone(&names));
            runtime.block_on(from_64_tasks(count, move |n| {
                let (client, names) = (client.clone(), Arc::clone(&names));
                async move { by_fred(client, &names[n as usize]).await }
            }))
        });
    });
    group.finish();
}

/// The number of calls per round: short enough that the machine is in the same state for all
/// contenders.
const CALLS: u32 = 100;

fn one_at_a_time(server: &RedisServer, keys: &[Key], names: &[String]) {
    const GROUP: &str = "second_level/one";
    if !is_wanted(GROUP) {
        return;
    }
    let (key, name) = (&keys[7], &names[7]);
    let runtime = one_thread();
    let Rivals { ours, ours_by_fred, redis_rs, fred } = runtime.block_on(rivals(server));
    let hits = async |cache: &Cache<String>| {
        for _ in 0..CALLS {
            black_box(cache.get(key).await.unwrap());
        }
    };
    let loads = async |cache: &Cache<String>| {
        for _ in 0..CALLS {
            black_box(cache.get_or_load(key, load).await.unwrap());
        }
    };
    let bare_redis_rs = async || {
        for _ in 0..CALLS {
            by_redis_rs(redis_rs.clone(), name).await;
        }
    };
    let bare_fred = async || {
        for _ in 0..CALLS {
            by_fred(fred.clone(), name).await;
        }
    };
    in_turn(
        GROUP,
        400,
        &mut [
            ("redis-rs GET", Box::new(|| each(CALLS, || runtime.block_on(bare_redis_rs())))),
            ("picarcade get", Box::new(|| each(CALLS, || runtime.block_on(hits(&ours))))),
            ("picarcade get_or_load", Box::new(|| each(CALLS, || runtime.block_on(loads(&ours))))),
        ],
    );
    in_turn(
        GROUP,
        400,
        &mut [
            ("fred GET", Box::new(|| each(CALLS, || runtime.block_on(bare_fred())))),
            ("picarcade get, fred", Box::new(|| each(CALLS, || runtime.block_on(hits(&ours_by_fred))))),
            (
                "picarcade get_or_load, fred",
                Box::new(|| each(CALLS, || runtime.block_on(loads(&ours_by_fred)))),
            ),
        ],
    );
}
