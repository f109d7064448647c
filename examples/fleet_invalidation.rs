//! One instance invalidates, and all instances forget: `cargo run -p picarcade-examples --example
//! fleet_invalidation`.
//!
//! Three instances of a cache share a Redis (`REDIS_URL`, or else one that the example starts).
#![allow(clippy::print_stdout)]

use std::{env, time::Duration};

use picarcade_cache::{Cache, Key, Options, RedisRemote};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::RedisServer;

async fn instance(url: &str) -> anyhow::Result<Cache<String>> {
    let redis = RedisHandle::connect(Config::new(url))?;
    redis.ready(Duration::from_secs(5)).await?;
    Ok(Cache::builder("profiles").remote(RedisRemote::new(redis)).build()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let own = if env::var("REDIS_URL").is_ok() { None } else { Some(RedisServer::start().await?) };
    let url = match &own {
        Some(server) => server.url(),
        None => env::var("REDIS_URL")?,
    };
    let fleet = [instance(&url).await?, instance(&url).await?, instance(&url).await?];
    let key = Key::builder("profiles", 1).part("alice").finish();
    let ask = async |version: u32| {
        for (n, cache) in fleet.iter().enumerate() {
            let load =
                move || async move { Ok::<_, std::io::Error>(format!("alice, version {version}").into()) };
            let found = cache.get_or_load_with(&key, Options::default().tag("user:alice"), load).await?;
            println!("instance {n}: {:?} from {}", found.value, found.source.as_str());
        }
        anyhow::Ok(())
    };
    ask(1).await?;
    println!("-- instance 0 removes everything of alice: {:?}", fleet[0].remove_by_tag("user:alice").await);
    while fleet.iter().any(|cache| cache.peek(&key).is_some()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ask(2).await
}
