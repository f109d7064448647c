//! Clients that are slow, on purpose or not, and misleading bodies. They run at the same time,
//! because the waits are long.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{PATIENCE, Service};

/// Returns everything that arrives until the service closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends the connection too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it is cut");
    String::from_utf8(text).unwrap()
}

/// Sends `start`, and then one byte at a time until the service closes the connection.
async fn trickle(service: &Service, start: &str) -> String {
    let (mut reader, mut writer) = service.connect().await.into_split();
    writer.write_all(start.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        while writer.write_all(b"x").await.is_ok() {
            tick.tick().await;
        }
    });
    let mut text = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut text)).await.expect("it is cut");
    dripping.abort();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn slow_heads_and_bodies_time_out_while_other_clients_are_served() {
    let service = Service::start(&[]).await;
    let head = "POST /api/v2/process HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let silent = async { rest(&mut service.connect().await).await };
    let second_head = async {
        let mut stream = service.connect().await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut status = vec![0; 12];
        stream.read_exact(&mut status).await.unwrap();
        stream.write_all(b"GET /hea").await.unwrap();
        String::from_utf8(status).unwrap() + &rest(&mut stream).await
    };
    let preface = async {
        let mut stream = service.connect().await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is cut");
    };
    let served = async {
        for index in 0..30 {
            service.process(json!({"prompt": format!("fox {index}")})).await;
        }
    };
    let with_length = format!("{head}content-length: 60000\r\n\r\n{{");
    let in_chunks = format!("{head}transfer-encoding: chunked\r\n\r\n8000\r\n{{");
    let slow_head = format!("{head}x-slow: ");
    let (silent, second_head, (), (), slow_head, with_length, in_chunks) = tokio::join!(
        silent,
        second_head,
        preface,
        served,
        trickle(&service, &slow_head),
        trickle(&service, &with_length),
        trickle(&service, &in_chunks),
    );
    assert_eq!((silent.as_str(), slow_head.as_str()), ("", ""));
    assert!(second_head.starts_with("HTTP/1.1 200") && second_head.matches("HTTP/1.1").count() == 1);
    for text in [with_length, in_chunks] {
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("application/problem+json"), "{text}");
    }
}

#[tokio::test]
async fn compressed_bodies_are_refused_and_never_unpacked() {
    let service = Service::start(&[]).await;
    let body = json!({"prompt": "a red fox"}).to_string();
    for coding in ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"] {
        let request = service
            .request(Method::POST, "/api/v2/process")
            .header("content-type", "application/json")
            .header("content-encoding", coding)
            .body(body.clone());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 415, "{coding}");
        assert_eq!(response.headers()["accept-encoding"], "identity");
        assert_eq!(response.json::<Value>().await.unwrap()["status"], 415);
    }
    let plain = service.request(Method::POST, "/api/v2/process").header("content-encoding", "identity");
    let plain = plain.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(plain.status(), 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_length() {
    let service = Service::start(&[]).await;
    let head = |path: &str, how: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n{how}\r\n\r\n"
        )
    };
    for (path, size) in [("/api/v2/process", 70_000), ("/api/v2/batch", 9 << 20)] {
        let announced = head(path, &format!("content-length: {size}"));
        // The body is only announced, and the service does not wait for it.
        let mut stream = service.connect().await;
        stream.write_all(announced.as_bytes()).await.unwrap();
        let text = rest(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 413 "), "{path}: {text}");
        let (mut reader, mut writer) = service.connect().await.into_split();
        let unannounced = head(path, "transfer-encoding: chunked");
        let sending = tokio::spawn(async move {
            writer.write_all(unannounced.as_bytes()).await?;
            let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
            for _ in 0..size / 0x1000 {
                writer.write_all(chunk.as_bytes()).await?;
            }
            writer.write_all(b"0\r\n\r\n").await
        });
        let mut text = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut text)).await.expect("it is answered");
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("HTTP/1.1 413 "), "{path}: {text}");
        sending.abort();
    }
    let long = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(100_000));
    let mut stream = service.connect().await;
    let _ = stream.write_all(long.as_bytes()).await;
    let text = rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 431 ") && text.contains("application/problem+json"), "{text}");
}
