//! Connections: bounded, patient, and finished before the process ends.

use std::process::ExitStatus;

use picarcade_testkit::{Answer, MockProvider, Reply};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{PATIENCE, Service};

async fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.url.strip_prefix("http://").unwrap()).await.unwrap()
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.unwrap().unwrap();
    String::from_utf8(text).unwrap()
}

async fn ended(service: &mut Service) -> ExitStatus {
    tokio::time::timeout(PATIENCE, service.child.wait()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_connection_over_the_bound_is_told_to_come_back() {
    let service = Service::start(&[("PICARCADE_MAX_CONNECTIONS_PER_ADDRESS", "2")]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&service).await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    let refused = answer(&mut connect(&service).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
    drop(held);
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let service = Service::start(&[]).await;
    let mut stream = connect(&service).await;
    let requests = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2)
        + "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let text = answer(&mut stream).await;
    let statuses: Vec<_> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "404"]);
}

#[tokio::test]
async fn a_stop_finishes_the_open_request_and_exits_well() {
    let mock = MockProvider::start().await.unwrap();
    let mut service =
        Service::start(&[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &mock.url())]).await;
    mock.push(Reply::Answer(Answer::of("NEW_IMAGE")).after(std::time::Duration::from_millis(500)));
    let request =
        service.request(reqwest::Method::POST, "/api/v2/process").json(&json!({"prompt": "a red fox"}));
    let asked =
        tokio::spawn(async move { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() });
    mock.arrived(1).await;
    service.signal("TERM");
    assert_eq!(asked.await.unwrap()["source"], "llm");
    assert_eq!(ended(&mut service).await.code(), Some(0));
}

#[tokio::test]
async fn what_was_recorded_survives_a_stop() {
    let mut service = Service::start(&[]).await;
    for index in 0..20 {
        service.process(json!({"prompt": format!("fox {index}")})).await;
    }
    service.signal("INT");
    assert_eq!(ended(&mut service).await.code(), Some(0));
    let Service { directory, .. } = service;
    let service = Service::start_in(directory, &[], &[]).await;
    assert_eq!(service.get("/api/v2/stats").await["total_classifications"], 20);
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mock = MockProvider::start().await.unwrap();
    let mut service =
        Service::start(&[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &mock.url())]).await;
    mock.always(Reply::Hang);
    let request =
        service.request(reqwest::Method::POST, "/api/v2/process").json(&json!({"prompt": "a red fox"}));
    tokio::spawn(request.send());
    mock.arrived(1).await;
    service.signal("TERM");
    // The first signal has arrived when the listener is gone.
    while TcpStream::connect(service.url.strip_prefix("http://").unwrap()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    service.signal("TERM");
    assert_ne!(ended(&mut service).await.code(), Some(0));
}

#[tokio::test]
async fn malformed_http_is_a_problem_too() {
    let service = Service::start(&[]).await;
    for request in [
        "G@T / HTTP/1.1\r\nhost: x\r\n\r\n",
        "hello world\r\n\r\n",
        "GET / HTTP/1.1\r\nX : a\r\n\r\n",
        "POST /api/v2/process HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    ] {
        let mut stream = connect(&service).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{request}: {text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("application/problem+json") && head.contains("x-request-id"), "{head}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["status"], 400);
    }
}

#[tokio::test]
async fn a_client_that_has_said_everything_is_answered() {
    let service = Service::start(&[]).await;
    let mut stream = connect(&service).await;
    let body = r#"{"prompt": "a red fox"}"#;
    let head = format!(
        "POST /api/v2/process HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}
