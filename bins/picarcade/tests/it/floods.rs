//! HTTP/2 floods that cost the sender little. Frames are built by hand, because no client would
//! send them.
//!
//! The expectation is the same for each: the memory of the service stays bounded, and other clients
//! are served.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{PATIENCE, Service};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Returns the head of `GET /health/live` or of a `POST` to it, from the static table of HPACK and
/// literals.
fn head(method: u8) -> Vec<u8> {
    let mut block = vec![0x80 | method, 0x86, 0x04, 12];
    block.extend(b"/health/live");
    block.extend([0x01, 1, b'x']);
    block
}

const GET: u8 = 2;
const POST: u8 = 3;

/// One flood: the pieces that are sent after the preface, and their number.
struct Flood {
    name: &'static str,
    pieces: u32,
    piece: fn(u32) -> Vec<u8>,
    /// Whether the sender reads what the service sends.
    reads: bool,
}

const fn flood(name: &'static str, pieces: u32, reads: bool, piece: fn(u32) -> Vec<u8>) -> Flood {
    Flood { name, pieces, piece, reads }
}

fn floods() -> Vec<Flood> {
    let rapid_reset = |number: u32| {
        let stream = number * 2 + 1;
        let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(GET));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        bytes
    };
    let open_streams = |number: u32| frame(HEADERS, END_HEADERS, number * 2 + 1, &head(POST));
    vec![
        flood("rapid reset", 100_000, true, rapid_reset),
        flood("rapid reset, unread", 100_000, false, rapid_reset),
        flood("streams that do not end", 20_000, true, open_streams),
        flood("answers that nobody reads", 100_000, false, |number| {
            frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &head(GET))
        }),
        flood("settings", 200_000, false, |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        flood("pings", 200_000, false, |number| frame(PING, 0, 0, &u64::from(number).to_be_bytes())),
        flood("continuation", 10_000, true, |number| match number {
            0 => frame(HEADERS, 0, 1, &head(GET)),
            // Literals without indexing, each with a name of its own.
            _ => {
                frame(CONTINUATION, 0, 1, &[&[0x00, 1, b'x', 0x7f, 0x80, 0x7d][..], &[b'y'; 16_255]].concat())
            }
        }),
        flood("empty continuation", 200_000, true, |number| match number {
            0 => frame(HEADERS, 0, 1, &head(GET)),
            _ => frame(CONTINUATION, 0, 1, &[]),
        }),
        flood("empty data", 200_000, true, |number| match number {
            0 => frame(HEADERS, END_HEADERS, 1, &head(POST)),
            _ => frame(DATA, 0, 1, &[]),
        }),
        flood("priorities", 200_000, true, |number| frame(PRIORITY, 0, number * 2 + 1, &[0, 0, 0, 0, 1])),
        flood("windows", 200_000, true, |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
    ]
}

/// Sends the flood until all is sent, or the service closes the connection or stops reading.
async fn send(service: &Service, flood: &Flood) {
    let (mut reader, mut writer) = service.connect().await.into_split();
    let reading = flood.reads.then(|| {
        tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while reader.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
        })
    });
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..flood.pieces {
        bytes.extend((flood.piece)(number));
        if bytes.len() > 32_768 || number + 1 == flood.pieces {
            // A socket that stays full means that the service does not read on, which is permitted.
            match tokio::time::timeout(Duration::from_secs(3), writer.write_all(&bytes)).await {
                Ok(Ok(())) => bytes.clear(),
                Ok(Err(_)) | Err(_) => break,
            }
        }
    }
    if let Some(reading) = reading {
        reading.abort();
    }
}

#[tokio::test]
async fn floods_are_bounded_and_other_clients_are_served() {
    let service = Service::start(&[]).await;
    service.process(json!({"prompt": "a red fox"})).await;
    let before = service.memory();
    let floods = floods();
    let flooding = futures_util::future::join_all(floods.iter().map(|flood| send(&service, flood)));
    let mut flooding = std::pin::pin!(flooding);
    let mut peak = before;
    loop {
        tokio::select! {
            _ = &mut flooding => break,
            _ = service.get("/health/live") => peak = peak.max(service.memory()),
        }
    }
    peak = peak.max(service.memory());
    let names: Vec<_> = floods.iter().map(|flood| flood.name).collect();
    assert!(peak - before < 200, "{} MiB more under {names:?}", peak - before);
    service.process(json!({"prompt": "a red fox"})).await;
}

/// Reads one frame: its kind, flags, stream and payload.
async fn read_frame(stream: &mut TcpStream) -> (u8, u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
}

#[tokio::test]
async fn http2_is_served_with_prior_knowledge() {
    let service = Service::start(&[]).await;
    let mut stream = service.connect().await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..100 {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &head(GET)));
    }
    stream.write_all(&bytes).await.unwrap();
    let (mut answered, mut ended) = (0, 0);
    while ended < 100 {
        let (kind, flags, _, payload) =
            tokio::time::timeout(PATIENCE, read_frame(&mut stream)).await.unwrap();
        if kind == HEADERS {
            // `:status 200` from the static table.
            assert_eq!(payload[0], 0x88);
            answered += 1;
        }
        ended += u32::from(matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0);
    }
    assert_eq!(answered, 100);
}
