//! A breaker around a `reqwest` call: what the answer says about the service, and what happens
//! during an outage.
//!
//! Run it with `cargo run -p picarcade-examples --example breaker_reqwest`. It calls its own small
//! server, which fails at first and recovers.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use anyhow::Context;
use picarcade_breaker::{CallError, CircuitBreaker, Config, http::Responses};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = flaky_server().await?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    let config =
        Config::default().failure_threshold(3).success_threshold(2).open_for(Duration::from_millis(300));
    let breaker = CircuitBreaker::new("weather", config)?;

    for number in 1..=12 {
        // The status of a response says how the service is: 503 is a failure that keeps the breaker
        // open for its `Retry-After`, 404 would be a mistake of this program.
        match breaker.call_with(Responses, client.get(&url).send()).await {
            Ok(response) => println!("{number:2}: {}  breaker: {}", response.status(), breaker.state()),
            Err(CallError::Rejected(rejected)) => {
                println!("{number:2}: not called: {rejected}");
                tokio::time::sleep(rejected.retry_after).await;
            }
            Err(CallError::Failed(error)) => {
                println!("{number:2}: {error}  breaker: {}", breaker.state());
            }
        }
    }
    let statistics = breaker.statistics();
    println!(
        "{} succeeded, {} failed, {} rejected",
        statistics.success, statistics.failure, statistics.rejected
    );
    anyhow::ensure!(
        statistics.success > 0 && statistics.rejected > 0,
        "the server neither failed nor recovered"
    );
    Ok(())
}

/// Answers its first four requests with 503, and the others with 200.
async fn flaky_server() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port")?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut connection, _)) = listener.accept().await else { return };
            let _ = connection.read(&mut [0; 2048]).await;
            let answer = if number < 4 {
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy"
            } else {
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsunny"
            };
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    Ok(url)
}
