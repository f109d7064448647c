//! Retry, bulkhead, breaker and time-out as layers of one client, with one classifier for HTTP.
//!
//! Run it with `cargo run -p picarcade-examples --example breaker_tower`. It calls its own small
//! server, which is overloaded at first.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use picarcade_breaker::{
    Bulkhead, BulkheadLayer, CircuitBreaker, CircuitBreakerLayer, Config, Retry, RetryLayer, http::Responses,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = overloaded_server().await?;
    let breaker = CircuitBreaker::new("weather", Config::default())?;
    // One client for one time-out of each attempt. The breaker judges every attempt, and the retry
    // repeats what the breaker counts as a failure of a moment.
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    let mut weather = ServiceBuilder::new()
        .layer(RetryLayer::new(Retry::new(4)?, Duration::from_secs(10), Responses))
        .layer(BulkheadLayer::new(Bulkhead::new(20, 100)?, Duration::from_secs(1)))
        .layer(CircuitBreakerLayer::new(breaker.clone()).classifier(Responses))
        .service(service_fn(move |url: String| client.get(url).send()));

    let response = weather.ready().await?.call(url).await?;
    println!("{}: {}", response.status(), response.text().await?);
    let statistics = breaker.statistics();
    println!("{} attempts failed, {} succeeded", statistics.failure, statistics.success);
    anyhow::ensure!((statistics.failure, statistics.success) == (2, 1), "the third attempt is the answer");
    Ok(())
}

/// Answers its first two requests with 503, and the others with 200.
async fn overloaded_server() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut connection, _)) = listener.accept().await else { return };
            let _ = connection.read(&mut [0; 2048]).await;
            let answer = if number < 2 {
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsunny"
            };
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    Ok(url)
}
