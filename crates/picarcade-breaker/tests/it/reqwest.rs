//! The classifiers on results of reqwest, from a real server.

use picarcade_breaker::{
    CallError, Classify,
    FailureKind::{Connect, Overloaded, Server, Timeout, Unusable},
    Outcome,
    http::{Errors, Responses},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{millis, secs};

/// Serves the same bytes to every connection; without any, the connection stays silent.
async fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await;
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    url
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(millis(300)).build().unwrap()
}

async fn judged(answer: &'static str) -> Outcome {
    Responses.classify(&client().get(server(answer).await).send().await)
}

#[tokio::test]
async fn responses_are_judged_by_status_and_retry_after() {
    assert_eq!(judged("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await, Outcome::Success);
    assert_eq!(judged("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await, Outcome::Neutral);
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n";
    let expected = Outcome::Failure { kind: Overloaded, retry_after: Some(secs(9)) };
    assert_eq!(judged(busy).await, expected);
}

#[tokio::test]
async fn errors_are_time_outs_or_lost_connections() {
    assert_eq!(judged("").await, Outcome::failure(Timeout));
    assert_eq!(judged("HTTP/1.1 200 ").await, Outcome::failure(Connect));
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    assert_eq!(Responses.classify(&client().get(refused).send().await), Outcome::failure(Connect));
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_neutral() {
    assert_eq!(Responses.classify(&client().get("no url").send().await), Outcome::Neutral);
}

#[tokio::test]
async fn checked_results_are_judged_by_their_error() {
    let read = async |answer| {
        let response = client().get(server(answer).await).send().await?.error_for_status()?;
        response.text().await
    };
    let failed = read("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(Errors.classify(&failed), Outcome::failure(Server));
    let missing = read("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(Errors.classify(&missing), Outcome::Neutral);
    let half = read("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf").await;
    assert!(matches!(Errors.classify(&half), Outcome::Failure { kind: Connect | Timeout | Unusable, .. }));
    // Behind another guard, the cause counts.
    assert_eq!(Errors.classify(&missing.map_err(CallError::Failed)), Outcome::Neutral);
}
