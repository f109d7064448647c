//! The part of a collector that a test needs: it receives one export of spans by HTTP and parses
//! its protobuf.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// One export.
pub struct Export {
    /// Head and body as received.
    pub raw: Vec<u8>,
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Debug)]
pub struct Span {
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub name: String,
    /// 2 is a server's span, 3 a client's.
    pub kind: u64,
    /// Attributes: strings unchanged, numbers in digits, lists joined by commas.
    pub attributes: BTreeMap<String, String>,
    pub failed: bool,
}

/// Waits for one request of the exporter and answers it with an empty 200.
pub async fn collect(listener: TcpListener) -> Export {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut raw = Vec::new();
    let body = loop {
        assert!(stream.read_buf(&mut raw).await.unwrap() > 0, "cut: {}", String::from_utf8_lossy(&raw));
        let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&raw[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        if raw.len() >= end + 4 + length.trim().parse::<usize>().unwrap() {
            break raw[end + 4..].to_vec();
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut spans = Vec::new();
    for resource in Message::read(&body).messages(1) {
        for scope in resource.messages(2) {
            spans.extend(scope.messages(2).map(|span| Span::read(&span)));
        }
    }
    Export { raw, spans }
}

impl Span {
    fn read(message: &Message) -> Self {
        let attribute =
            |pair: &Message| (pair.text(1), pair.messages(2).next().as_ref().map_or_else(String::new, any));
        Self {
            trace: message.bytes(1),
            id: message.bytes(2),
            parent: message.bytes(4),
            name: message.text(5),
            kind: message.number(6),
            attributes: message.messages(9).map(|pair| attribute(&pair)).collect(),
            failed: message.messages(15).next().is_some_and(|status| status.number(3) == 2),
        }
    }
}

/// Returns a value of any type as text.
fn any(value: &Message) -> String {
    if let Some(list) = value.messages(5).next() {
        return list.messages(1).map(|item| any(&item)).collect::<Vec<_>>().join(",");
    }
    match value.0.first() {
        Some((3, Field::Number(number))) => number.to_string(),
        _ => value.text(1),
    }
}

/// A message of protobuf: its fields by number.
struct Message(Vec<(u64, Field)>);

enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Message {
    fn read(mut rest: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut rest)),
                1 => Field::Bytes(taken(&mut rest, 8)),
                2 => {
                    let length = varint(&mut rest);
                    Field::Bytes(taken(&mut rest, length as usize))
                }
                5 => Field::Bytes(taken(&mut rest, 4)),
                other => panic!("no wire type: {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |(found, _)| *found == number).map(|(_, field)| field)
    }

    fn bytes(&self, number: u64) -> Vec<u8> {
        match self.all(number).next() {
            Some(Field::Bytes(bytes)) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number)).unwrap()
    }

    fn number(&self, number: u64) -> u64 {
        match self.all(number).next() {
            Some(Field::Number(number)) => *number,
            _ => 0,
        }
    }

    fn messages(&self, number: u64) -> impl Iterator<Item = Self> {
        self.all(number).filter_map(|field| match field {
            Field::Bytes(bytes) => Some(Self::read(bytes)),
            Field::Number(_) => None,
        })
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = taken(rest, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn taken(rest: &mut &[u8], length: usize) -> Vec<u8> {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken.to_vec()
}
