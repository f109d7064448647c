//! A fleet: four instances share one Redis and together admit exactly the limit. Stop Redis
//! meanwhile, and each instance continues with its share. With `SHARDS=8`, users are counted in
//! eight slots of a cluster.
//!
//! `REDIS_URL=redis://localhost cargo run -p picarcade-examples --example limit_fleet`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::sync::Arc;
use std::time::Duration;

use picarcade_ratelimit::{Demand, Limit, Limiter, RedisStore, Scope, Subjects, Window};
use picarcade_redis::{Config, RedisHandle};
use tokio::task::JoinSet;

const INSTANCES: u32 = 4;

async fn instance(url: &str) -> anyhow::Result<Limiter> {
    let redis = RedisHandle::connect(Config { prefix: "example:".to_owned(), ..Config::new(url) })?;
    if redis.ready(Duration::from_secs(2)).await.is_err() {
        eprintln!("no redis at {url}: by this instance's share of the limit");
    }
    let builder = Limiter::builder()
        .limit(Limit::requests(Scope::User, 100, Window::Sliding(Duration::from_mins(1))))
        .limit(Limit::requests(Scope::Global, 1000, Window::Sliding(Duration::from_hours(1))))
        .expected_instances(INSTANCES);
    let store = RedisStore::new(redis);
    let builder = match std::env::var("SHARDS") {
        Ok(shards) => builder.shards(store.sharded(shards.parse()?)),
        Err(_) => builder.store(Arc::new(store)),
    };
    Ok(builder.build()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let mut requests = JoinSet::new();
    for _ in 0..INSTANCES {
        let limiter = instance(&url).await?;
        for _ in 0..100 {
            let limiter = limiter.clone();
            requests.spawn(async move {
                let decision = limiter.acquire(&Subjects::default().user("ada"), Demand::requests(1)).await?;
                anyhow::Ok((decision.is_admitted(), limiter.mode()))
            });
        }
    }
    let (mut admitted, mut asked) = (0, 0);
    let mut mode = None;
    while let Some(answer) = requests.join_next().await {
        let (passed, decided) = answer??;
        asked += 1;
        admitted += u32::from(passed);
        mode = Some(decided);
    }
    println!(
        "{admitted} of {asked} requests of one user passed; decided {}",
        mode.map_or("nowhere", |mode| mode.as_str())
    );
    Ok(())
}
