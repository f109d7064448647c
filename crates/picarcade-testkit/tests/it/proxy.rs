//! The proxy in front of an echo server, so that every byte and every end can be observed.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use picarcade_testkit::{Fault, FaultProxy, RedisServer, eventually};

/// Only a failing test waits that long.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Starts an echo server whose threads end with their clients.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    if to.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    stream
}

fn round_trip(mut stream: &TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut buffer = vec![0; text.len()];
    stream.read_exact(&mut buffer)?;
    Ok(String::from_utf8(buffer).unwrap())
}

fn is_silent(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let read = stream.read(&mut [0; 16]);
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

async fn proxy() -> FaultProxy {
    FaultProxy::start(echo()).await.unwrap()
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    assert_eq!(round_trip(&stream, "hello").unwrap(), "hello");
    assert_eq!((proxy.connections(), proxy.accepted()), (1, 1));
    assert_eq!((proxy.request_bytes(), proxy.reply_bytes()), (5, 5));
}

#[tokio::test]
async fn large_streams_arrive_whole() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    let sent: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
    let writer = {
        let (mut stream, sent) = (stream.try_clone().unwrap(), sent.clone());
        std::thread::spawn(move || stream.write_all(&sent).unwrap())
    };
    let mut received = vec![0; sent.len()];
    (&stream).read_exact(&mut received).unwrap();
    writer.join().unwrap();
    assert!(sent == received);
}

#[tokio::test]
async fn cut_closes_and_refuses_until_it_passes_again() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    round_trip(&stream, "a").unwrap();
    proxy.set(Fault::Cut).await;
    assert_eq!((&stream).read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(TcpStream::connect(proxy.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(proxy.connections(), 0);
    proxy.set(Fault::Pass).await;
    assert_eq!(round_trip(&connect(&proxy), "b").unwrap(), "b");
}

#[tokio::test]
async fn reset_is_a_reset_for_old_and_new() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    round_trip(&stream, "a").unwrap();
    proxy.set(Fault::Reset).await;
    assert_eq!((&stream).read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let failed = TcpStream::connect(proxy.addr()).and_then(|mut stream| stream.read(&mut [0; 4]));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_black_hole_is_silent_and_gives_back_what_it_took() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    round_trip(&stream, "a").unwrap();
    proxy.set(Fault::BlackHole).await;
    (&stream).write_all(b"later").unwrap();
    let fresh = connect(&proxy);
    (&fresh).write_all(b"fresh").unwrap();
    assert!(is_silent(&stream) && is_silent(&fresh));
    assert_eq!(proxy.request_bytes(), 1);
    proxy.set(Fault::Pass).await;
    assert_eq!(round_trip(&stream, "").unwrap(), "");
    let mut buffer = [0; 5];
    (&stream).read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"later");
    (&fresh).read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"fresh");
}

#[tokio::test]
async fn lost_replies_were_still_done() {
    let redis = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(redis.addr()).await.unwrap();
    let (used, idle) = (connect(&proxy), connect(&proxy));
    (&idle).write_all(b"PING\r\n").unwrap();
    (&idle).read_exact(&mut [0; 7]).unwrap();
    proxy.set(Fault::LoseReplies).await;
    (&used).write_all(b"INCR counter\r\n").unwrap();
    let arrived = async || redis.command(&["GET", "counter"]).await.unwrap() == "1";
    eventually("the request arrives", arrived).await;
    assert!(is_silent(&used));
    proxy.set(Fault::Pass).await;
    assert_eq!((&used).read(&mut [0; 16]).unwrap(), 0, "the connection that lost a reply is over");
    (&idle).write_all(b"PING\r\n").unwrap();
    let mut pong = [0; 7];
    (&idle).read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"+PONG\r\n", "the other one goes on");
}

#[tokio::test]
async fn a_reply_is_torn_after_so_many_bytes() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    assert_eq!(round_trip(&stream, "before").unwrap(), "before");
    for _ in 0..2 {
        proxy.set(Fault::CutAfter { bytes: 3 }).await;
        let mut stream = connect(&proxy);
        stream.write_all(b"hello").unwrap();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        assert_eq!(received, b"hel");
    }
    (&stream).write_all(b"hello").unwrap();
    let mut received = Vec::new();
    let _ = (&stream).read_to_end(&mut received);
    assert_eq!(received, b"hel");
}

#[tokio::test]
async fn half_closed_means_an_end_in_one_direction() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    round_trip(&stream, "a").unwrap();
    proxy.set(Fault::HalfClose).await;
    assert_eq!((&stream).read(&mut [0; 4]).unwrap(), 0);
    (&stream).write_all(b"still listening?").unwrap();
    eventually("the request goes through", async || proxy.request_bytes() == 17).await;
}

#[tokio::test]
async fn a_delay_shifts_the_replies() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    proxy.set(Fault::Delay(Duration::from_millis(60))).await;
    let start = Instant::now();
    round_trip(&stream, "a").unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn cut_all_cuts_once() {
    let proxy = proxy().await;
    let stream = connect(&proxy);
    round_trip(&stream, "a").unwrap();
    proxy.cut_all().await;
    assert_eq!((&stream).read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(round_trip(&connect(&proxy), "b").unwrap(), "b");
}

#[tokio::test]
async fn a_client_that_ends_is_answered_to_the_end() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(received, "last words");
}

#[tokio::test]
async fn a_dead_server_is_a_closed_connection() {
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = FaultProxy::start(closed).await.unwrap();
    assert_eq!(connect(&proxy).read(&mut [0; 4]).unwrap(), 0);
}

#[tokio::test]
async fn urls_lead_through_it() {
    let proxy = proxy().await;
    let address = proxy.addr();
    assert_eq!(proxy.url_for("rediss"), format!("rediss://{address}"));
    assert_eq!(
        proxy.through("postgres://me:p%40ss@db.example:5432/app?sslmode=disable"),
        format!("postgres://me:p%40ss@{address}/app?sslmode=disable")
    );
    assert_eq!(proxy.through("http://127.0.0.1:1"), format!("http://{address}"));
}
