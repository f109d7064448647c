//! Reads that share a command: the number of commands, and the independence of the readers.

use futures_util::future::join_all;
use picarcade_redis::{Config, DriverKind, Error, RedisHandle};
use picarcade_testkit::RedisServer;

use crate::support::{SECOND, config, ready, with_every_driver, within};

with_every_driver!(
    concurrent_reads_share_commands,
    a_reader_that_leaves_does_not_affect_others,
    a_runtime_that_ends_does_not_affect_other_readers,
    a_server_that_refuses_shared_commands_is_read_singly,
    shared_reads_end_at_their_deadline,
);

async fn long_deadline(driver: DriverKind, server: &RedisServer) -> RedisHandle {
    ready(Config { command_timeout: SECOND * 60, ..config(driver, server.url()) }).await
}

/// Reads `k0`, `k1`, ... at the same time, and checks each value.
async fn read_all(redis: &RedisHandle, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
    let values = join_all(names.iter().map(|name| redis.get(name.as_bytes()))).await;
    for (n, value) in values.into_iter().enumerate() {
        let expected = (n % 2 == 0).then(|| n.to_string());
        assert_eq!(value.unwrap().as_deref(), expected.as_deref().map(str::as_bytes), "k{n}");
    }
}

/// Writes every other key.
async fn write_half(redis: &RedisHandle, count: usize) {
    for n in (0..count).step_by(2) {
        redis.set(format!("k{n}").as_bytes(), n.to_string().as_bytes(), None).await.unwrap();
    }
}

/// Returns how often a command was called since the statistics were reset, refusals included.
async fn calls(server: &RedisServer, command: &str) -> u32 {
    let statistics = server.command(&["INFO", "commandstats"]).await.unwrap();
    let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let field = |name: &str| {
        let (_, value) =
            line?.split(',').filter_map(|field| field.split_once('=')).find(|(n, _)| *n == name)?;
        value.trim().parse::<u32>().ok()
    };
    field("calls").unwrap_or(0) + field("rejected_calls").unwrap_or(0)
}

async fn concurrent_reads_share_commands(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis = long_deadline(driver, &server).await;
    write_half(&redis, 100).await;
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    read_all(&redis, 100).await;
    // The first read is sent singly, the others in commands of at most 32.
    let (alone, together) = (calls(&server, "get").await, calls(&server, "mget").await);
    assert!(alone <= 2 && together <= 5, "{alone} alone, {together} together");
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    for _ in 0..3 {
        read_all(&redis, 1).await;
    }
    assert_eq!((calls(&server, "get").await, calls(&server, "mget").await), (3, 0), "one after the other");
}

async fn a_reader_that_leaves_does_not_affect_others(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis = long_deadline(driver, &server).await;
    write_half(&redis, 6).await;
    server.pause();
    let mut reads: Vec<_> = [b"k0", b"k2", b"k4"].map(|key| Box::pin(redis.get(key))).into();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for read in &mut reads {
        assert!(read.as_mut().poll(&mut context).is_pending());
    }
    // The second reader was the first to wait. Other readers leave after their command was sent.
    drop(reads.remove(1));
    tokio::task::yield_now().await;
    let late = redis.get(b"k2");
    server.resume();
    let (values, late) = within(async { tokio::join!(join_all(reads), late) }).await;
    let values: Vec<_> = values.into_iter().map(|value| value.unwrap().unwrap()).collect();
    assert_eq!(values, ["0", "4"]);
    assert_eq!(late.unwrap().unwrap(), "2");
}

async fn a_runtime_that_ends_does_not_affect_other_readers(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis = long_deadline(driver, &server).await;
    write_half(&redis, 10).await;
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    {
        // The task that would send the second read never runs.
        let _inside = other.enter();
        let mut reads = [b"k0", b"k2"].map(|key| Box::pin(redis.get(key)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for read in &mut reads {
            assert!(read.as_mut().poll(&mut context).is_pending());
        }
    }
    other.shutdown_background();
    within(read_all(&redis, 10)).await;
}

async fn a_server_that_refuses_shared_commands_is_read_singly(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    server.command(&["ACL", "SETUSER", "default", "-mget"]).await.unwrap();
    let redis = long_deadline(driver, &server).await;
    write_half(&redis, 10).await;
    read_all(&redis, 10).await;
    assert!(redis.status().connected, "that does not speak against the server");
    server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    read_all(&redis, 10).await;
    assert_eq!((calls(&server, "get").await, calls(&server, "mget").await), (10, 0), "it is not asked again");
}

async fn shared_reads_end_at_their_deadline(driver: DriverKind) {
    let server = RedisServer::start().await.unwrap();
    let redis = ready(config(driver, server.url())).await;
    server.pause();
    let names: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    let answers = within(join_all(names.iter().map(|name| redis.get(name.as_bytes())))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(Error::is_transient)));
}
