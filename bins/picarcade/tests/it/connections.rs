//! Connections: limited in number and time, and drained before the process ends.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{PATIENCE, Service, until};

async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.unwrap().unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_connection_over_the_limit_gets_a_503_with_retry_after() {
    let service = Service::start(&[("PICARCADE_MAX_CONNECTIONS_PER_ADDRESS", "2")]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = service.connect().await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    let refused = answer(&mut service.connect().await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
    drop(held);
    let message = "a connection was refused: the limit of connections is reached";
    until("it is logged", async || !service.records(message).is_empty()).await;
    let record = service.records(message).remove(0);
    assert_eq!((&record["limit"], &record["address"]), (&json!("address"), &json!("127.0.0.1")), "{record}");
    until("it is counted", async || {
        let Ok(scrape) = service.request(Method::GET, "/metrics").send().await else { return false };
        let text = scrape.text().await.unwrap();
        text.contains("picarcade_http_connections_refused_total{limit=\"address\"}")
    })
    .await;
}

/// Sends the head of a request for a client, and a part of its body.
async fn begin(service: &Service, client: &str, body: &str) -> TcpStream {
    let mut stream = service.connect().await;
    let head = format!(
        "POST /api/v2/process HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: {client}\r\n\
         content-type: application/json\r\ncontent-length: 23\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_have_limits_of_their_own() {
    let service = Service::start(&[
        ("PICARCADE_MAX_CONNECTIONS_PER_ADDRESS", "1"),
        ("PICARCADE_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1"),
        ("PICARCADE_ACCESS_LOG", "true"),
        ("PICARCADE_PUBLIC_OPERATIONS", "true"),
    ])
    .await;
    let body = r#"{"prompt": "a red fox"}"#;
    let mut held = begin(&service, "192.0.2.7", "{").await;
    until("a second request of the client is refused", async || {
        let refused = answer(&mut begin(&service, "8.8.8.8, 192.0.2.7, 10.1.1.1", body).await).await;
        refused.starts_with("HTTP/1.1 503")
            && refused.contains("retry-after")
            && refused.contains("too many requests")
    })
    .await;
    assert!(answer(&mut begin(&service, "192.0.2.8", body).await).await.starts_with("HTTP/1.1 200"));
    held.write_all(&body.as_bytes()[1..]).await.unwrap();
    assert!(answer(&mut held).await.starts_with("HTTP/1.1 200"));
    assert!(answer(&mut begin(&service, "192.0.2.7", body).await).await.starts_with("HTTP/1.1 200"));
    until("the access log names the client", async || {
        service.records("answered").iter().any(|record| record["client"] == json!("192.0.2.8"))
    })
    .await;
}

#[tokio::test]
async fn with_trusted_proxies_a_caller_on_loopback_is_no_operator() {
    for (proxies, status) in [("", 200), ("127.0.0.1", 403)] {
        let service = Service::start(&[("PICARCADE_TRUSTED_PROXIES", proxies)]).await;
        let scrape = service.request(Method::GET, "/metrics").send().await.unwrap();
        assert_eq!(scrape.status(), status, "{proxies}");
    }
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let service = Service::start(&[]).await;
    let mut stream = service.connect().await;
    let requests = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2)
        + "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let text = answer(&mut stream).await;
    let statuses: Vec<_> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "404"]);
}

#[tokio::test]
async fn malformed_http_is_a_problem() {
    let service = Service::start(&[]).await;
    for request in [
        "G@T / HTTP/1.1\r\nhost: x\r\n\r\n",
        "hello world\r\n\r\n",
        "GET / HTTP/1.1\r\nX : a\r\n\r\n",
        "POST /api/v2/process HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    ] {
        let mut stream = service.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{request}: {text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("application/problem+json") && head.contains("x-request-id"), "{head}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["status"], 400);
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_is_answered() {
    let service = Service::start(&[]).await;
    let mut stream = service.connect().await;
    let body = r#"{"prompt": "a red fox"}"#;
    let head = format!(
        "POST /api/v2/process HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_connection_with_an_unread_body_can_be_used_again_or_is_announced_closed() {
    let service = Service::start(&[("PICARCADE_API_KEYS", "web:key-of-the-web-app")]).await;
    let head = |more: &str, length: usize| {
        format!(
            "POST /api/v2/process HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n"
        )
    };
    // The body arrives a little later than the head, as from many clients.
    let mut stream = service.connect().await;
    for _ in 0..3 {
        stream.write_all(head("", 2).as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(b"}").await.unwrap();
        let mut text = vec![0; 12];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(text, b"HTTP/1.1 401");
        let mut rest = Vec::new();
        while !rest.ends_with(b"}") {
            rest.push(stream.read_u8().await.unwrap());
        }
        assert!(!String::from_utf8(rest).unwrap().contains("connection: close"));
    }
    // A body that never arrives, and a client that waits for `100 Continue`.
    for request in [head("", 50), head("expect: 100-continue\r\n", 50)] {
        let mut stream = service.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 401 ") && text.contains("connection: close"), "{text}");
    }
}
