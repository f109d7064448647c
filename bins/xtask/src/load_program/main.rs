//! Drives the service and prints the results; run by `cargo xtask load`.
//!
//! There are two runs after a short warm-up. In the *closed* loop, a hundred users ask again after
//! each answer. In the *open* loop, requests come at a fixed rate whether or not earlier ones are
//! answered. Its latency counts from the moment a request was due, so that a stalled service cannot
//! hide it ("coordinated omission", Gil Tene). Analytics are on, request limits off, the AI is a
//! mock that answers at once, and prompts repeat with a Zipf distribution from a fixed seed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line is for")]

mod drive;
mod plan;
mod prompts;
mod service;
mod table;

use std::time::Duration;

use anyhow::Result;
use picarcade_testkit::{MockProvider, PostgresServer, RedisServer};

use crate::plan::Plan;
use crate::service::Service;

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::parse(std::env::args().skip(1))?;
    let mock = MockProvider::start().await?;
    mock.latency(plan.ai);
    let mut environment = vec![
        ("ANTHROPIC_API_KEY".to_owned(), "test-key".to_owned()),
        ("ANTHROPIC_BASE_URL".to_owned(), mock.url()),
    ];
    // The servers live as long as these values.
    let (redis, postgres);
    if plan.fleet {
        redis = RedisServer::start().await?;
        postgres = PostgresServer::start().await?;
        environment.push(("REDIS_URL".to_owned(), redis.url()));
        environment.push(("DATABASE_URL".to_owned(), postgres.url()));
    }
    let service = Service::start(&environment).await?;
    println!(
        "{} s a run, AI at {} ms, {}\n",
        plan.run.as_secs(),
        plan.ai.as_millis(),
        if plan.fleet { "Redis and PostgreSQL" } else { "nothing configured (embedded)" }
    );
    drive::closed(&service, plan.users, Duration::from_secs(3).min(plan.run)).await?;
    table::head();
    let closed = drive::closed(&service, plan.users, plan.run).await?;
    table::row(&format!("closed, {} users", plan.users), &closed);
    let open = drive::open(&service, plan.rate, plan.run).await?;
    table::row(&format!("open, {} a second", plan.rate), &open);
    println!("\npaid AI calls: {}", mock.count());
    service.stop().await
}
