//! Two levels with fail-over while servers die: `cargo run -p picarcade-examples --example
//! two_tiers`.
//!
//! With `REDIS_URL` (and `REDIS_BACKUP_URL`) it uses those servers, and you stop and start them.
//! Without, it starts two servers and kills the first.
#![allow(clippy::print_stdout)]

use std::{env, time::Duration};

use picarcade_cache::{Cache, Key, RedisRemote};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::RedisServer;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let own = match env::var("REDIS_URL") {
        Ok(_) => None,
        Err(_) => Some((RedisServer::start().await?, RedisServer::start().await?)),
    };
    let (url, backup_url) = match &own {
        Some((primary, backup)) => (primary.url(), Some(backup.url())),
        None => (env::var("REDIS_URL")?, env::var("REDIS_BACKUP_URL").ok()),
    };
    // Shorter than the default (10 s), so that the return to the primary is visible.
    let failback_grace = Duration::from_secs(2);
    let redis = RedisHandle::connect(Config { backup_url, failback_grace, ..Config::new(url) })?;
    redis.ready(Duration::from_secs(5)).await?;
    // Small enough that most lookups need the second level.
    let cache =
        Cache::<String>::builder("demo").max_bytes(2_000).remote(RedisRemote::new(redis.clone())).build()?;

    for second in 0..16_u64 {
        if let (3, Some((primary, _))) = (second, &own) {
            println!("-- the primary is killed");
            primary.kill();
        }
        if let (6, Some((primary, _))) = (second, &own) {
            println!("-- the primary is started again, empty");
            primary.restart().await?;
        }
        for n in 0..20 {
            let key = Key::builder("demo", 1).part_u64(n).finish();
            cache
                .get_or_load(&key, move || async move { Ok::<_, std::io::Error>(format!("value {n}")) })
                .await?;
        }
        let (statistics, status) = (cache.statistics(), redis.status());
        println!(
            "l1 {:3}  l2 {:3}  loads {:3}   {} (connected: {}, generation {})",
            statistics.hits_l1,
            statistics.hits_l2,
            statistics.loads,
            status.active.as_str(),
            status.connected,
            status.generation,
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
