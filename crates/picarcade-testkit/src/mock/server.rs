//! The mock on a socket: HTTP/1.1 with hyper; each connection is a task that ends with the mock.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dialect::{Request, Route};
use super::reply::Coding;
use super::response::{Delivery, Payload, Response};
use super::script::Script;

/// The state that the mock and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) script: Mutex<Script>,
    /// The number of calls; tests wait for it.
    pub(super) arrived: watch::Sender<u64>,
    pub(super) in_flight: AtomicUsize,
    pub(super) peak: AtomicUsize,
}

/// Accepts connections until dropped; the connections end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Socket { stream, reset: Arc::clone(&reset) });
    let service = service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&reset)));
    // An error here is a client that left or a scripted fault.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
) -> io::Result<hyper::Response<Payload>> {
    let request = read(request).await?;
    let _running = Running::count(&shared);
    let response = {
        let mut script = shared.script.lock();
        let response = script.respond(request);
        shared.arrived.send_replace(script.calls);
        response
    };
    tokio::time::sleep(response.delay).await;
    match response.delivery {
        Delivery::Never => std::future::pending().await,
        Delivery::Reset => {
            reset.store(true, Ordering::Relaxed);
            Err(io::Error::other("reset on purpose"))
        }
        Delivery::Half | Delivery::HalfChunked | Delivery::Whole | Delivery::Padded(_) => send(response),
    }
}

async fn read(request: hyper::Request<Incoming>) -> io::Result<Request> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Ok(Request {
        dialect: Route::of(&method, &path).dialect(),
        method,
        path,
        headers: headers.collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: Instant::now(),
    })
}

fn send(response: Response) -> io::Result<hyper::Response<Payload>> {
    let mut head = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        head = head.header(name, value);
    }
    let payload = match response.delivery {
        Delivery::Half => {
            // The length of the complete body, so that the reader detects the missing part.
            head = head.header("content-length", response.body.len());
            Payload::half(&response.body)
        }
        Delivery::HalfChunked => Payload::half(&response.body),
        Delivery::Padded(bytes) => Payload::padded(&response.body, bytes),
        _ => match response.coding {
            Some(coding) => Payload::whole(encode(coding, response.body.as_bytes())?),
            None => Payload::whole(response.body),
        },
    };
    head.body(payload).map_err(io::Error::other)
}

fn encode(coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        Coding::Brotli => Ok(stored_brotli(body)),
    }
}

/// Stores a body in uncompressed Brotli blocks (RFC 7932, section 9).
fn stored_brotli(body: &[u8]) -> Vec<u8> {
    // One zero bit declares a window of 64 KiB. An empty block without data ends its byte.
    let mut encoded = vec![0b0000_1100];
    for block in body.chunks(1 << 16) {
        // Not the last block, a length of four nibbles, not compressed, padding.
        let header = ((block.len() - 1) << 3) | (1 << 19);
        encoded.extend(header.to_le_bytes().iter().take(3));
        encoded.extend_from_slice(block);
    }
    encoded.push(3);
    encoded
}

/// Counts a request until its caller has the head of the response or is gone.
struct Running(Arc<Shared>);

impl Running {
    fn count(shared: &Arc<Shared>) -> Self {
        let now = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection that can be reset instead of closed.
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
