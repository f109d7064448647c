//! Starts servers of the kit by hand, prints their addresses, and keeps them until Enter, the end
//! of the input, or Ctrl-C.
//!
//! ```sh
//! cargo run -p picarcade-testkit -- provider      # ANTHROPIC_BASE_URL=http://127.0.0.1:…
//! cargo run -p picarcade-testkit -- redis postgres
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line is for")]

use std::any::Any;
use std::process::ExitCode;

use picarcade_testkit::{
    MockProvider, PgBouncer, PostgresServer, RedisCluster, RedisSentinel, RedisServer, Result,
};

const HELP: &str = "\
picarcade-testkit <server>…: starts each, prints its address, and keeps them until Enter or Ctrl-C

  redis        one Redis                 redis-tls       the same with TLS
  cluster      a Cluster of three        sentinel        a primary, a replica, three Sentinels
  postgres     PostgreSQL                pgbouncer       the same behind pgbouncer
  provider     the mock AI provider";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() || names.iter().any(|name| name == "help" || name == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let mut servers = Vec::new();
    for name in &names {
        match start(name).await {
            Ok(Some(server)) => servers.push(server),
            Ok(None) => {
                eprintln!("there is no server {name:?}\n\n{HELP}");
                return ExitCode::from(2);
            }
            Err(error) => {
                eprintln!("{error:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("ready");
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    drop(servers);
    ExitCode::SUCCESS
}

/// Starts the server with this name and returns what a client needs, or `None` for an unknown name.
async fn start(name: &str) -> Result<Option<Box<dyn Any>>> {
    Ok(Some(match name {
        "redis" => shown("REDIS_URL", RedisServer::start().await?, RedisServer::url),
        "redis-tls" => {
            let server = RedisServer::builder().tls().start().await?;
            println!("REDIS_URL={}", server.url());
            println!("# the authority: {}", server.ca_path().unwrap_or("none".as_ref()).display());
            Box::new(server)
        }
        "cluster" => shown("REDIS_URL", RedisCluster::start(3).await?, RedisCluster::url),
        "sentinel" => shown("REDIS_URL", RedisSentinel::start().await?, RedisSentinel::url),
        "postgres" => shown("DATABASE_URL", PostgresServer::start().await?, PostgresServer::url),
        "pgbouncer" => {
            let server = PostgresServer::start().await?;
            let bouncer = PgBouncer::start(&server).await?;
            println!("DATABASE_URL={}", bouncer.url());
            Box::new((bouncer, server))
        }
        "provider" => {
            let provider = MockProvider::start().await?;
            for vendor in ["ANTHROPIC", "OPENAI", "REPLICATE"] {
                println!("{vendor}_BASE_URL={}", provider.url());
            }
            Box::new(provider)
        }
        _ => return Ok(None),
    }))
}

/// Prints the URL of a server under the name of its variable.
fn shown<T: Any>(name: &str, server: T, url: fn(&T) -> String) -> Box<dyn Any> {
    println!("{name}={}", url(&server));
    Box::new(server)
}
