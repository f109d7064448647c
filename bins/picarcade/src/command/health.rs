//! `picarcade health`: sends one request to `/health/ready`, for container probes whose image has
//! no curl.

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command::Failure;
use crate::config::{Config, redact_url};

/// How long the whole probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(url: Option<String>) -> Result<ExitCode, Failure> {
    let url = url.filter(|url| !url.trim().is_empty()).map_or_else(local_url, Ok)?;
    let url = url.as_str();
    let shown = redact_url(url);
    let parsed = url::Url::parse(url).map_err(|_| Failure::usage(format!("{shown:?} is not a URL")))?;
    let host = match (parsed.scheme(), parsed.host_str()) {
        ("http", Some(host)) => host.to_owned(),
        _ => return Err(Failure::usage(format!("{shown:?} is not an http URL"))),
    };
    let port = parsed.port_or_known_default().unwrap_or(80);
    let status = tokio::time::timeout(PROBE_TIMEOUT, probe(&host, port)).await;
    match status {
        Ok(Ok(200)) => Ok(ExitCode::SUCCESS),
        Ok(Ok(status)) => Err(Failure::work(format!("{shown} is not ready: status {status}"))),
        Ok(Err(error)) => Err(Failure::work(format!("{shown} does not answer: {error}"))),
        Err(_) => Err(Failure::work(format!("{shown} does not answer in time"))),
    }
}

/// Returns where a service with the same environment listens. A service that listens on every
/// address is probed on loopback.
fn local_url() -> Result<String, Failure> {
    let config = Config::load_without_ai(None)?;
    let address = config.listen.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    Ok(format!("http://{address}"))
}

/// Returns the status of `/health/ready`. HTTP/1.0 and one read are enough, so the probe needs no
/// client library.
async fn probe(host: &str, port: u16) -> std::io::Result<u16> {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((address, port)).await?;
    stream.write_all(format!("GET /health/ready HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    std::str::from_utf8(&head)
        .ok()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("that is not HTTP"))
}
