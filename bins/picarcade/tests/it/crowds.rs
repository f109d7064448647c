//! Ten thousand idle connections, and one address that opens as many as it can.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::StreamExt;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::service::Service;

/// The default limit of connections.
const CONNECTIONS: usize = 10_000;

/// The default limit of connections from one address.
const PER_ADDRESS: usize = 1_000;

/// The files that the other tests may have open in this process.
const OWN_FILES: u64 = 2_000;

async fn connect_from(address: u8, service: &Service) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, address), 0))).unwrap();
    socket.connect(service.address()).await.unwrap()
}

/// Sends one request and reads the head of the response.
async fn probe(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn ten_thousand_idle_connections_take_little_memory_and_no_foreign_place() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    // If the system allows fewer open files, the service accepts fewer connections.
    let many = CONNECTIONS.min(usize::try_from(hard - OWN_FILES).unwrap());
    let total = (many + 200).to_string();
    let service = Service::start(&[("PICARCADE_MAX_CONNECTIONS", &total)]).await;
    service.process(json!({"prompt": "a red fox"})).await;
    let before = service.memory();
    let opening = futures_util::stream::iter(0..many).map(|number| {
        let service = &service;
        // The connections of the first address come last, so that none of them times out below.
        let address = u8::try_from((many - 1 - number) / PER_ADDRESS).unwrap() + 1;
        async move {
            let mut stream = connect_from(address, service).await;
            // A connection without a request would time out before the last connection is open.
            assert_eq!(probe(&mut stream).await, "HTTP/1.1 200");
            stream
        }
    });
    let idle: Vec<_> = opening.buffer_unordered(64).collect().await;
    let each = (service.memory() - before) * 1024 / many as u64;
    assert!(each < 40, "{each} KiB a connection");
    let mut one_more = connect_from(1, &service).await;
    assert_eq!(probe(&mut one_more).await, "HTTP/1.1 503");
    for index in 0..50 {
        service.process(json!({"prompt": format!("fox {index}"), "user_id": "ann"})).await;
    }
    drop(idle);
    crate::service::until("there is room again", async || {
        probe(&mut connect_from(1, &service).await).await == "HTTP/1.1 200"
    })
    .await;
}
