//! A breaker around a `reqwest` call: what the answer says about the service, and what happens
//! during an outage.
//!
//! Run it with `cargo run -p picarcade-examples --example breaker_reqwest`. It calls its own small
//! server, which fails at first and recovers.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::{Duration, SystemTime};

use anyhow::Context;
use picarcade_breaker::{
    CallError, CircuitBreaker, Config, Deadline, Outcome,
    http::{Exchange, parse_retry_after},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A call that was made and is of no use, with the facts that the breaker needs.
#[derive(Debug)]
enum Failure {
    Status { status: u16, retry_after: Option<Duration>, body: String },
    Transport(reqwest::Error),
    TimedOut,
}

/// Classifies each result for the breaker.
fn classify(result: &Result<String, Failure>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(Failure::Status { status, retry_after, body }) => {
            Exchange::Answered { status: *status, retry_after: *retry_after, error: body }.outcome()
        }
        Err(Failure::Transport(error)) if error.is_timeout() => Exchange::TimedOut.outcome(),
        Err(Failure::Transport(error)) if error.is_decode() => Exchange::Unusable.outcome(),
        Err(Failure::Transport(_)) => Exchange::Disconnected.outcome(),
        Err(Failure::TimedOut) => Exchange::TimedOut.outcome(),
    }
}

async fn get(client: &reqwest::Client, url: &str) -> Result<String, Failure> {
    let response = client.get(url).send().await.map_err(Failure::Transport)?;
    let status = response.status();
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|value| parse_retry_after(value, SystemTime::now()));
    let body = response.text().await.map_err(Failure::Transport)?;
    if status.is_success() {
        return Ok(body);
    }
    Err(Failure::Status { status: status.as_u16(), retry_after, body })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = flaky_server().await?;
    let client = reqwest::Client::new();
    let config =
        Config::default().failure_threshold(3).success_threshold(2).open_for(Duration::from_millis(300));
    let breaker = CircuitBreaker::new("weather", config)?;

    for number in 1..=12 {
        let deadline = Deadline::after(Duration::from_secs(2));
        let call = async { deadline.run(get(&client, &url)).await.unwrap_or(Err(Failure::TimedOut)) };
        match breaker.call_with(classify, call).await {
            Ok(body) => println!("{number:2}: {body:<28} breaker: {}", breaker.state()),
            Err(CallError::Rejected(rejected)) => {
                println!("{number:2}: not called                   {rejected}");
                tokio::time::sleep(rejected.retry_after).await;
            }
            Err(CallError::Failed(failure)) => {
                println!("{number:2}: {failure:?}  breaker: {}", breaker.state());
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
