//! One connection: its requests go through the router, its timeouts end it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::connection_limit::{ConnectionLimits, Connections, Slot};
use super::drain_body;
use super::forwarded::TrustedProxies;
use super::guarded_body::GuardedBody;
use super::timeouts::Timeouts;
use super::watched_io::WatchedIo;
use crate::http::app::App;
use crate::http::problem::{self, Problem};

/// How long a stop waits for the request of a connection that has just begun, or for a request that
/// is just arriving.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The most concurrent streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// When a client with too many requests may retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The most bytes that one HTTP/1 connection buffers. A head cannot be larger.
const MAX_BUFFER: usize = 32 * 1024;

/// The most bytes of a head on HTTP/2. One connection may have many heads at a time.
const MAX_HEAD: u32 = 16 * 1024;

/// The flow-control windows of one HTTP/2 connection and of each of its streams, in bytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;

/// Everything that serves one connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    app: App,
    /// True from the moment in which connections must drain.
    draining: watch::Receiver<bool>,
    /// The clients behind trusted proxies, if there are such proxies.
    clients: Option<ForwardedClients>,
}

/// The clients that trusted proxies name, and their requests that are being answered.
///
/// A proxy sends requests of many clients on one connection, so the limit per address counts
/// requests there.
#[derive(Clone)]
pub(super) struct ForwardedClients {
    proxies: Arc<TrustedProxies>,
    requests: Arc<Connections>,
}

impl ForwardedClients {
    pub(super) fn new(proxies: Arc<TrustedProxies>, per_address: usize) -> Self {
        let limits = ConnectionLimits { connections: usize::MAX, per_address };
        Self { proxies, requests: Connections::new(limits) }
    }

    /// Returns the client of a request and its place, or the refusal of a client that has too many
    /// requests. `None` if no trusted proxy names a client.
    fn enter(&self, peer: IpAddr, headers: &HeaderMap) -> Option<(IpAddr, Result<Slot, Problem>)> {
        let client = self.proxies.client(peer, headers)?;
        let place = self.requests.enter(client).map_err(|limit| {
            limit.count();
            tracing::warn!(
                limit = limit.as_str(), address = %client,
                "a request was refused: the limit of requests of one forwarded address is reached"
            );
            Problem::unavailable("this address has too many requests at a time", RETRY_AFTER)
        });
        Some((client, place))
    }
}

impl Connection {
    pub(super) fn new(
        app: App,
        router: Router,
        draining: watch::Receiver<bool>,
        clients: Option<ForwardedClients>,
    ) -> Self {
        Self { builder: Arc::new(builder()), router, app, draining, clients }
    }

    /// Serves the connection until the client, a timeout or a stop ends it.
    pub(super) async fn serve(self, stream: TcpStream, address: SocketAddr, slot: Slot) {
        // A small response must not wait for the acknowledgement of the previous one.
        let _ = stream.set_nodelay(true);
        let Self { builder, router, app, mut draining, clients } = self;
        let timeouts = Timeouts::new();
        let io = WatchedIo::new(TokioIo::new(stream), Arc::clone(&timeouts));
        let service = {
            let timeouts = Arc::clone(&timeouts);
            service_fn(move |request: Request<Incoming>| {
                let guard = timeouts.begin_response(request.version() >= Version::HTTP_2);
                let response = respond(&router, &app, clients.as_ref(), address, request);
                async move { response.await.map(|response| response.map(|body| GuardedBody::new(body, guard))) }
            })
        };
        let mut connection = pin!(builder.serve_connection(io, service).into_owned());
        let drain = async {
            // An error means that the accept loop has ended, and with it the service.
            let _ = draining.wait_for(|draining| *draining).await;
            let _ = tokio::time::timeout(ARRIVAL_TIMEOUT, timeouts.between_requests()).await;
        };
        let mut drain = pin!(drain.fuse());
        let mut expired = pin!(timeouts.expired());
        loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    break;
                }
                () = &mut expired => {
                    tracing::debug!("a connection was idle or slow for too long");
                    break;
                }
                () = &mut drain => connection.as_mut().graceful_shutdown(),
            }
        }
        drop(slot);
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
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(CONNECTION_WINDOW as usize)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Returns the response to one request. On HTTP/1 the response says whether it is the last one of
/// its connection.
fn respond(
    router: &Router,
    app: &App,
    clients: Option<&ForwardedClients>,
    mut address: SocketAddr,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let multiplexed = request.version() >= Version::HTTP_2;
    let expects_continue = request.headers().contains_key(EXPECT);
    let (mut parts, incoming) = request.into_parts();
    let mut place = None;
    if let Some((client, entered)) = clients.and_then(|clients| clients.enter(address.ip(), &parts.headers)) {
        address = SocketAddr::new(client, 0);
        place = Some(entered);
    }
    parts.extensions.insert(address);
    let (body, unread) = if multiplexed || incoming.is_end_stream() {
        (Body::new(incoming), None)
    } else {
        let (lent, unread) = drain_body::lend(incoming);
        (Body::new(lent), Some(unread))
    };
    let response = router.clone().oneshot(Request::from_parts(parts, body));
    let app = app.clone();
    async move {
        let mut response = match place.transpose() {
            Ok(_place) => response.await?,
            Err(refusal) => problem::with_problem_body(refusal.into_response()),
        };
        let last = match unread {
            // A read of the body would send `100 Continue` to a client that waits for it, and the
            // client would send a body that the service does not want.
            Some(unread) if expects_continue => !unread.is_read(),
            Some(unread) => !unread.drain().await,
            None => false,
        };
        if last || app.is_draining() && !multiplexed {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}
