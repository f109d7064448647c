//! A breaker as a tower layer in front of a service that reports overload in its replies.
//!
//! Run it with `cargo run -p picarcade-examples --example breaker_layer`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use picarcade_breaker::{CallError, CircuitBreaker, CircuitBreakerLayer, Config, FailureKind, Outcome};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// An answer may be a failure too: this service reports overload in a reply, not as an error.
#[derive(Debug)]
enum Reply {
    Fine(String),
    Overloaded { retry_after: Duration },
}

fn classify(result: &Result<Reply, Infallible>) -> Outcome {
    match result {
        Ok(Reply::Fine(_)) => Outcome::Success,
        Ok(Reply::Overloaded { retry_after }) => {
            Outcome::Failure { kind: FailureKind::Overloaded, retry_after: Some(*retry_after) }
        }
        Err(never) => match *never {},
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config =
        Config::default().failure_threshold(2).success_threshold(1).open_for(Duration::from_millis(50));
    let breaker = CircuitBreaker::new("painter", config)?;
    let mut events = breaker.subscribe();

    let healthy = Arc::new(AtomicBool::new(false));
    let painter = {
        let healthy = Arc::clone(&healthy);
        service_fn(move |subject: &'static str| {
            let healthy = healthy.load(Ordering::Relaxed);
            async move {
                Ok::<_, Infallible>(if healthy {
                    Reply::Fine(format!("a picture of {subject}"))
                } else {
                    Reply::Overloaded { retry_after: Duration::from_millis(200) }
                })
            }
        })
    };
    let mut service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker.clone()).classifier(classify))
        .service(painter);

    for _ in 0..2 {
        println!("{:?}", service.ready().await?.call("a lighthouse").await);
    }
    // Open: the service is ready, and the call is rejected at once without reaching it. The 200 ms
    // that the service asked for exceed the configured 50 ms.
    let Err(CallError::Rejected(rejected)) = service.ready().await?.call("a lighthouse").await else {
        anyhow::bail!("the breaker did not open");
    };
    println!("rejected: {rejected}");

    healthy.store(true, Ordering::Relaxed);
    tokio::time::sleep(rejected.retry_after).await;
    match service.ready().await?.call("a lighthouse").await? {
        Reply::Fine(picture) => println!("{picture}"),
        busy @ Reply::Overloaded { .. } => println!("{busy:?}"),
    }
    while let Ok(event) = events.try_recv() {
        println!("{}", serde_json::to_string(&event)?);
    }
    Ok(())
}
