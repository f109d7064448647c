//! A minimal HTTP/1.1 client that shows the bytes of the mock unchanged.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&self.body[..self.body.len().min(500)]))
        })
    }
}

/// Sends one request and reads until the server closes the connection.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> io::Result<Response> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text += "\r\n";
    text += &body;
    tokio::task::spawn_blocking(move || exchange(address, &text)).await.unwrap()
}

fn exchange(address: SocketAddr, text: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_mins(2)))?;
    stream.write_all(text.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let split =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..split]).to_lowercase();
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let rest = &bytes[split + 4..];
    let body = if head.contains("transfer-encoding: chunked") { dechunked(rest)? } else { rest.to_vec() };
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: "))
        && length.parse() != Ok(body.len())
    {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Response { status, head, body })
}

fn dechunked(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size).ok_or(io::ErrorKind::UnexpectedEof)?);
        rest = rest.get(end + 4 + size..).ok_or(io::ErrorKind::UnexpectedEof)?;
    }
}
