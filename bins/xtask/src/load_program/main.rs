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

use std::time::Duration;

use anyhow::Result;
use picarcade_testkit::{MockProvider, PostgresServer, RedisServer};

use crate::drive::Seen;
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
    head();
    let closed = drive::closed(&service, plan.users, plan.run).await?;
    row(&format!("closed, {} users", plan.users), &closed);
    let open = drive::open(&service, plan.rate, plan.run).await?;
    row(&format!("open, {} a second", plan.rate), &open);
    println!("\npaid AI calls: {}", mock.count());
    service.stop().await
}

/// Prints the head of the table, which is Markdown for copying into the documents.
fn head() {
    println!(
        "| run | requests | errors | a second | p50 ms | p90 ms | p99 ms | p99.9 ms | longest ms | CPU cores | MiB before, after |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
}

fn row(name: &str, seen: &Seen) {
    let at = |share: f64| {
        let index = (seen.latencies.len() as f64 * share) as usize;
        let micros = seen.latencies.get(index).or(seen.latencies.last()).copied().unwrap_or_default();
        f64::from(micros) / 1e3
    };
    println!(
        "| {name} | {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.2} | {:.0}, {:.0} |",
        seen.latencies.len(),
        seen.errors,
        seen.latencies.len() as f64 / seen.seconds,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        (seen.after.cpu_seconds - seen.before.cpu_seconds) / seen.seconds,
        seen.before.memory_mib,
        seen.after.memory_mib,
    );
}
