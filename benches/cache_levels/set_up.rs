//! Fixtures of the groups: servers, caches, keys, and their order.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use fred::{
    clients::Client as Fred,
    interfaces::ClientLike,
    types::{Builder, config::Config as FredConfig},
};
use picarcade_cache::{Cache, Key, RedisRemote, Remote};
use picarcade_redis::{Config, DriverKind, RedisHandle};
use picarcade_testkit::RedisServer;
use tokio::runtime::Runtime;

pub(crate) const KEYS: u64 = 10_000;
pub(crate) const PROMPT: &str =
    "put the cat from the first picture on the sofa of the second one, and make the light warmer, please";

pub(crate) fn value() -> String {
    "v".repeat(300)
}

pub(crate) fn key(n: u64) -> Key {
    Key::builder("bench", 1).part(PROMPT).part_u64(n).finish()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// One thread for the caller and the connection. Otherwise wake-ups between threads, which take up
/// to two round trips, would dominate the time of a single call.
pub(crate) fn one_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) async fn load() -> Result<String, Infallible> {
    Ok(value())
}

pub(crate) fn local() -> Cache<String> {
    Cache::builder("bench").build().unwrap()
}

/// A cache over a server; `memory` is the bound of its first level (1 keeps nothing).
pub(crate) fn two_levels(remote: &Arc<RedisRemote>, memory: u64) -> Cache<String> {
    Cache::builder("bench").remote(Arc::clone(remote) as Arc<dyn Remote>).max_bytes(memory).build().unwrap()
}

pub(crate) struct Redis {
    pub(crate) server: RedisServer,
    pub(crate) remote: Arc<RedisRemote>,
}

pub(crate) async fn redis() -> Redis {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server, DriverKind::Redis).await;
    Redis { server, remote }
}

pub(crate) async fn remote(server: &RedisServer, driver: DriverKind) -> Arc<RedisRemote> {
    let handle = RedisHandle::connect(Config { driver, ..Config::new(server.url()) }).unwrap();
    handle.ready(Duration::from_secs(10)).await.unwrap();
    RedisRemote::new(handle)
}

/// Plain fred with the same options: no delay.
pub(crate) async fn raw_fred(server: &RedisServer) -> Fred {
    let mut builder = Builder::from_config(FredConfig::from_url(&server.url()).unwrap());
    builder.with_connection_config(|config| config.tcp.nodelay = Some(true));
    let client = builder.build().unwrap();
    client.init().await.unwrap();
    client
}

/// Keys with a Zipf distribution: exponent 1 over `KEYS`, from a fixed seed.
pub(crate) fn zipf(count: usize) -> Vec<u64> {
    let mut sums = Vec::with_capacity(KEYS as usize);
    let mut sum = 0.0;
    for rank in 1..=KEYS {
        sum += 1.0 / rank as f64;
        sums.push(sum);
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut draw = || random.f64() * sum;
    (0..count)
        .map(|_| {
            let drawn = draw();
            sums.partition_point(|at| *at < drawn) as u64
        })
        .collect()
}

/// Runs `one` from 64 tasks until `count` calls are made, and returns the elapsed time.
pub(crate) async fn from_64_tasks<F, Fut>(count: u64, one: F) -> Duration
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let began = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut n = task;
                while n < count {
                    one(n % KEYS).await;
                    n += 64;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    began.elapsed()
}
