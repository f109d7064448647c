//! Traces: what a collector gets, and that a dead one harms nobody.

use picarcade_testkit::{Fault, FaultProxy};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::service::{Service, in_time};

const TRACE: [u8; 16] =
    [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
const PARENT: [u8; 8] = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];

async fn ask(service: &Service) {
    let request = service
        .request(Method::POST, "/api/v2/process")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("x-user-id", "secret-ann");
    let answer = request.json(&json!({"prompt": "a secret fox"})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// One request of the exporter, head and body, answered with an empty 200.
async fn collect(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    loop {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "cut: {}", String::from_utf8_lossy(&read));
        let Some(end) = find(&read, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        if read.len() >= end + 4 + length.trim().parse::<usize>().unwrap() {
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    read
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[tokio::test]
async fn a_request_becomes_a_span_below_its_caller_and_tells_nothing_of_the_user() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Nothing goes out by itself before the stop: what is left is sent then.
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_SERVICE_NAME", "fox-service"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let mut service = Service::start(&environment).await;
    ask(&service).await;
    service.signal("TERM");
    let sent = in_time("the spans", collect(listener)).await;
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(sent.starts_with(b"POST /v1/traces HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&sent));
    for part in [&TRACE[..], &PARENT, b"fox-service", b"POST /api/v2/process", b"http.route"] {
        assert!(find(&sent, part).is_some(), "{part:?} in {}", String::from_utf8_lossy(&sent));
    }
    assert!(find(&sent, b"secret").is_none(), "{}", String::from_utf8_lossy(&sent));
}

#[tokio::test]
async fn a_dead_collector_costs_no_request_and_one_line() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(target.local_addr().unwrap()).await.unwrap();
    proxy.set(Fault::Cut).await;
    let endpoint = format!("http://{}", proxy.addr());
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
    ];
    let mut service = Service::start(&environment).await;
    for _ in 0..50 {
        ask(&service).await;
    }
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
    let told = service.log().iter().filter(|line| line.contains("traces cannot be exported")).count();
    assert_eq!(told, 1, "{:#?}", service.log());
}
