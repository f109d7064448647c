//! One of several processes that share a second level, to test what happens between processes.
//!
//! `fleet_member REDIS_URL CALLERS LOAD_MS [redis|fred]`: CALLERS callers ask for one key at once.
//! A load takes LOAD_MS and increments the counter `loads` in Redis. Prints how many callers got
//! the value.
#![allow(clippy::print_stdout)]

use std::{env, time::Duration};

use picarcade_cache::{Cache, Key, RedisRemote};
use picarcade_redis::{Config, DriverKind, RedisHandle, Script};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let usage = "usage: fleet_member REDIS_URL CALLERS LOAD_MS [redis|fred]";
    let url = arguments.next().ok_or(usage)?;
    let callers: usize = arguments.next().ok_or(usage)?.parse()?;
    let load_time = Duration::from_millis(arguments.next().ok_or(usage)?.parse()?);
    let driver = match arguments.next().as_deref() {
        None | Some("redis") => DriverKind::Redis,
        Some("fred") => DriverKind::Fred,
        Some(_) => return Err(usage.into()),
    };
    let redis = RedisHandle::connect(Config {
        driver,
        command_timeout: Duration::from_secs(10),
        ..Config::new(url)
    })?;
    redis.ready(Duration::from_secs(20)).await?;
    let cache = Cache::<String>::builder("fleet")
        .lease(Duration::from_secs(2))
        .lease_wait(Duration::from_secs(60))
        .hard_timeout(Duration::from_secs(60))
        .remote(RedisRemote::new(redis.clone()))
        .build()?;
    let key = Key::builder("fleet", 1).part("the one").finish();
    let asks: Vec<_> = (0..callers)
        .map(|_| {
            let (cache, redis) = (cache.clone(), redis.clone());
            let load = move || async move {
                let count = Script::new("count", "return redis.call('INCR', KEYS[1])");
                redis.eval(&count, &["loads"], &[] as &[&str]).await?;
                tokio::time::sleep(load_time).await;
                Ok::<_, picarcade_redis::Error>("the value".to_owned())
            };
            tokio::spawn(async move { cache.get_or_load(&key, load).await.is_ok() })
        })
        .collect();
    let mut served = 0;
    for ask in asks {
        served += usize::from(ask.await?);
    }
    // The callers have their value, and the other instances must find it too.
    cache.drain(Duration::from_secs(10)).await;
    println!("{served}");
    Ok(())
}
