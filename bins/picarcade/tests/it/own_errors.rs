//! hyper's own answers to malformed HTTP become problems, and text that only looks like one is not
//! replaced.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::service::{Service, in_time};

/// hyper's own answer, as the text of a user.
const IMITATION: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 30 Nov 2026 00:00:00 GMT\r\n\r\n";

/// No limit of requests: each prompt of a batch is one.
const UNLIMITED: [(&str, &str); 3] = [
    ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
    ("RATE_LIMIT_REQUESTS_PER_HOUR", "0"),
    ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "0"),
];

/// Connects a client that reads little at a time, in small segments, which limit the send buffer of
/// the service too. So the service writes a long response in hundreds of parts.
async fn slow_client(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    SockRef::from(&socket).set_tcp_mss(536).unwrap();
    socket.connect(address).await.unwrap()
}

/// Returns prompts that consist of the beginning of an error, shifted by a character each. Wherever
/// a part of the response begins, one of twelve prompts begins there.
fn prompts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{}{}", "x".repeat(index % 12), "HTTP/1.1 400".repeat(660))).collect()
}

fn batch(prompts: &[String]) -> String {
    json!(prompts.iter().map(|prompt| json!({"prompt": prompt})).collect::<Vec<_>>()).to_string()
}

fn check(body: &[u8], prompts: &[String]) {
    let answer: Value = serde_json::from_slice(body).unwrap();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), prompts.len());
    for (result, prompt) in results.iter().zip(prompts) {
        assert_eq!(result["original_prompt"], **prompt);
    }
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Returns the head and the body of one response.
async fn response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(in_time("a byte of the head", stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = Vec::new();
    let mut left: usize = length.parse().unwrap();
    while left > 0 {
        let mut part = vec![0; left.min(1500)];
        let read = in_time("a part of the body", stream.read(&mut part)).await.unwrap();
        assert!(read > 0, "the answer ends {left} bytes early");
        body.extend_from_slice(&part[..read]);
        left -= read;
    }
    (head, body)
}

#[tokio::test]
async fn text_that_looks_like_an_error_reaches_a_slow_client_unchanged() {
    let service = Service::start(&UNLIMITED).await;
    let mut stream = slow_client(service.address()).await;
    let prompts = prompts(200);
    for _ in 0..2 {
        stream.write_all(post("/api/v2/batch", &batch(&prompts)).as_bytes()).await.unwrap();
        let (head, body) = response(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        check(&body, &prompts);
    }
    let imitation = json!({"prompt": IMITATION}).to_string();
    stream.write_all(post("/api/v2/process", &imitation).as_bytes()).await.unwrap();
    let answer: Value = serde_json::from_slice(&response(&mut stream).await.1).unwrap();
    assert_eq!(answer["original_prompt"], IMITATION);
}

#[tokio::test]
async fn text_that_looks_like_an_error_disturbs_no_stream_of_http2() {
    let service = Service::start(&UNLIMITED).await;
    let mut socket = slow_client(service.address()).await;
    // The client reads through a narrow pipe, so that it reads slowly.
    let (near, mut far) = tokio::io::duplex(512);
    let piping = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut socket, &mut far).await });
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    let driving = tokio::spawn(connection);
    let streams = (0..4).map(|_| {
        let mut sender = sender.clone();
        async move {
            let prompts = prompts(50);
            let request = hyper::Request::post("http://x/api/v2/batch")
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(batch(&prompts))))
                .unwrap();
            let response = in_time("an answer", sender.send_request(request)).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = in_time("its body", response.into_body().collect()).await.unwrap().to_bytes();
            check(&body, &prompts);
        }
    });
    futures_util::future::join_all(streams).await;
    driving.abort();
    piping.abort();
}

#[tokio::test]
async fn a_malformed_request_after_a_good_one_gets_its_own_problem() {
    let service = Service::start(&[]).await;
    let good = post("/api/v2/process", &json!({"prompt": IMITATION}).to_string());
    let kept = good.replacen("HTTP/1.1", "HTTP/1.0", 1).replacen("host: x", "connection: keep-alive", 1);
    for (first, second, status) in [
        (good.as_str(), "G@T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        (&kept, "hello world\r\n\r\n".to_owned(), 400),
        (&good, format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)), 414),
        (&good, format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(70_000)), 431),
    ] {
        for at_once in [true, false] {
            let mut stream = service.connect().await;
            let mut text = first.to_owned();
            if at_once {
                text.push_str(&second);
            }
            stream.write_all(text.as_bytes()).await.unwrap();
            let (head, body) = response(&mut stream).await;
            assert!(head.contains(" 200 OK\r\n"), "{head}");
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["original_prompt"], IMITATION);
            if !at_once {
                // The service may close its side before all of it is sent.
                let _ = stream.write_all(second.as_bytes()).await;
            }
            let (head, body) = response(&mut stream).await;
            assert!(head.contains("application/problem+json") && head.contains("x-request-id"), "{head}");
            let problem: Value = serde_json::from_slice(&body).unwrap();
            // hyper decides which of the two limits a long target reaches first.
            let statuses = [json!(status), json!(if status == 414 { 431 } else { status })];
            assert!(statuses.contains(&problem["status"]), "{problem}");
        }
    }
}
