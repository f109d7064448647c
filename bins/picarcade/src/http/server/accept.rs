//! The accept loop: connections are counted, watched, and finished before the process ends.
//!
//! At the bound a connection gets a 503 with `Retry-After` and is closed; the ones that are served are not disturbed.
//!
//! A stop has two steps. While the service is unready it still serves whoever comes, and tells each HTTP/1 client to close
//! its connection after the answer. Then nobody is let in any more, and each connection ends as soon as that loses nothing:
//! between two requests, never in the middle of one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

use crate::http::app::App;
use crate::http::problem;
use crate::http::server::connection_limit::{Limits, Open, Slot};
use crate::http::server::drain_body;
use crate::http::server::timeouts::{AnsweringBody, Patience, WatchedIo};

/// How long the refusal of a connection may take.
const REFUSAL: Duration = Duration::from_secs(1);

/// The pause after an error of `accept` itself, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection that has just begun, or a request that is just coming in, holds up a stop.
const ARRIVAL: Duration = Duration::from_secs(1);

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;

/// The most bytes that one HTTP/1 connection buffers; a head cannot be larger.
const MAX_BUFFER: usize = 32 * 1024;

/// The most bytes of a head on HTTP/2, of which one connection may have many.
const MAX_HEAD: u32 = 16 * 1024;

/// What may be on its way to one HTTP/2 connection, and to one of its streams, before it is taken.
const WINDOW: u32 = 1024 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;

/// What every connection is served with.
#[derive(Clone)]
struct Server {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    app: App,
    /// True from the moment in which connections are to end.
    closing: watch::Receiver<bool>,
}

/// Serves until `shutdown` resolves, then lets open requests finish until the moment that it resolved to.
pub(crate) async fn run(
    listener: TcpListener,
    app: App,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = Instant>,
) {
    let open = Open::new(limits);
    let (close, closing) = watch::channel(false);
    let server = Server { builder: Arc::new(builder()), router, app, closing };
    let mut shutdown = pin!(shutdown);
    let deadline = loop {
        let accepted = tokio::select! {
            biased;
            deadline = &mut shutdown => break deadline,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => admit(&open, &server, stream, address),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    // Those who are connected already, as far as the system is concerned, would be reset with the listener. The system is
    // asked directly, as the runtime knows only what it has been told of. Whoever comes between the last look and the end
    // is reset all the same: that is what the time of being unready is for.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, address)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                admit(&open, &server, stream, address);
            }
        }
    }
    close.send_replace(true);
    if timeout_at(deadline, open.empty()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
}

fn admit(open: &Arc<Open>, server: &Server, stream: TcpStream, address: SocketAddr) {
    match open.enter(address.ip()) {
        Some(slot) => drop(tokio::spawn(serve(server.clone(), stream, address, slot))),
        None => drop(tokio::spawn(refuse(stream))),
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(MAX_BUFFER)
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD)
        .max_pending_accept_reset_streams(MAX_STREAMS as usize)
        .max_local_error_reset_streams(MAX_STREAMS as usize)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(WINDOW as usize)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

async fn serve(server: Server, stream: TcpStream, address: SocketAddr, slot: Slot) {
    // Small answers must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let Server { builder, router, app, mut closing } = server;
    let patience = Patience::new();
    let io = WatchedIo::new(TokioIo::new(stream), Arc::clone(&patience));
    let service = {
        let patience = Arc::clone(&patience);
        service_fn(move |request: Request<Incoming>| {
            let answering = patience.answering(request.version() >= Version::HTTP_2);
            let answer = answer(&router, &app, address, request);
            async move { answer.await.map(|response| response.map(|body| AnsweringBody::new(body, answering))) }
        })
    };
    let mut connection = pin!(builder.serve_connection(io, service).into_owned());
    let told = async {
        // An error means that the accept loop is gone, and so is the service.
        let _ = closing.wait_for(|closing| *closing).await;
        let _ = tokio::time::timeout(ARRIVAL, patience.between_requests()).await;
    };
    let mut told = pin!(told.fuse());
    let mut exhausted = pin!(patience.exhausted());
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
                break;
            }
            () = &mut exhausted => {
                tracing::debug!("a connection was idle or slow for too long");
                break;
            }
            () = &mut told => connection.as_mut().graceful_shutdown(),
        }
    }
    drop(slot);
}

/// One request and its answer. On HTTP/1 the answer says whether it is the last of its connection.
fn answer(
    router: &Router,
    app: &App,
    address: SocketAddr,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let multiplexed = request.version() >= Version::HTTP_2;
    let promised = request.headers().contains_key(EXPECT);
    let (mut parts, incoming) = request.into_parts();
    parts.extensions.insert(address);
    let (body, unread) = if multiplexed || incoming.is_end_stream() {
        (Body::new(incoming), None)
    } else {
        let (lent, unread) = drain_body::lend(incoming);
        (Body::new(lent), Some(unread))
    };
    let answer = router.clone().oneshot(Request::from_parts(parts, body));
    let app = app.clone();
    async move {
        let mut response = answer.await?;
        let last = match unread {
            // A client that waits to be told to send its body must not be told so by our taking it in.
            Some(unread) if promised => !unread.is_read(),
            Some(unread) => !unread.settle().await,
            None => false,
        };
        if last || app.is_draining() && !multiplexed {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Says that there is no room. What the client is still sending is taken in for a moment: left unread, it would make the
/// system reset the connection, and the answer with it.
async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(REFUSAL, async {
        let full = problem::raw(StatusCode::SERVICE_UNAVAILABLE, "the server has no free connection");
        stream.write_all(&full).await?;
        stream.shutdown().await?;
        let mut sent = [0; 4096];
        while stream.read(&mut sent).await? > 0 {}
        Ok::<_, std::io::Error>(())
    })
    .await;
}
