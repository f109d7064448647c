//! The accept loop: limits the number of connections, and drains them before the process ends.
//!
//! At the limit a new connection gets a 503 with `Retry-After` and is closed. The connections that
//! are being served are not affected.
//!
//! A stop has two steps. While the service is unready it still serves every connection, and asks
//! each HTTP/1 client to close its connection after the response. Then no connection is accepted
//! any more, and each open one ends as soon as no request is lost: between two requests, never
//! inside one.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, ForwardedClients};
use super::connection_limit::{ConnectionLimits, Connections};
use super::forwarded::TrustedProxies;
use crate::http::app::App;
use crate::http::problem;

/// How long the refusal of a connection may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after an error of `accept` itself, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The HTTP server.
pub(crate) struct Server {
    connections: Arc<Connections>,
    proxies: Option<Arc<TrustedProxies>>,
    /// Serves one connection; each connection gets a clone.
    connection: Connection,
    /// Sends `true` when the connections must drain.
    drain: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn new(
        app: App,
        router: Router,
        limits: ConnectionLimits,
        proxies: Option<TrustedProxies>,
    ) -> Self {
        let (drain, draining) = watch::channel(false);
        let proxies = proxies.map(Arc::new);
        let clients = proxies.clone().map(|proxies| ForwardedClients::new(proxies, limits.per_address));
        let connection = Connection::new(app, router, draining, clients);
        Self { connections: Connections::new(limits), proxies, connection, drain }
    }

    /// Serves until `shutdown` resolves, and then lets open requests finish until the instant that
    /// `shutdown` resolved to.
    pub(crate) async fn run(self, listener: TcpListener, shutdown: impl Future<Output = Instant>) {
        let mut shutdown = pin!(shutdown);
        let deadline = loop {
            let accepted = tokio::select! {
                biased;
                deadline = &mut shutdown => break deadline,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.serve_or_refuse(stream, address),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        self.accept_completed(listener);
        self.drain.send_replace(true);
        if timeout_at(deadline, self.connections.drained()).await.is_err() {
            tracing::warn!("some requests were not finished in time");
        }
    }

    fn serve_or_refuse(&self, stream: TcpStream, address: SocketAddr) {
        let is_proxy = self.proxies.as_ref().is_some_and(|proxies| proxies.contains(address.ip()));
        let slot = if is_proxy {
            self.connections.enter_from_proxy(address.ip())
        } else {
            self.connections.enter(address.ip())
        };
        match slot {
            Ok(slot) => drop(tokio::spawn(self.connection.clone().serve(stream, address, slot))),
            Err(limit) => {
                limit.count();
                tracing::warn!(
                    limit = limit.as_str(), address = %address.ip(),
                    "a connection was refused: the limit of connections is reached"
                );
                drop(tokio::spawn(refuse(stream)));
            }
        }
    }

    /// Accepts the connections that the kernel has completed, and closes the listener.
    ///
    /// The end of a listener resets the connections that wait in it. The kernel is asked directly,
    /// because the runtime knows only the ones that it was notified of. A connection that completes
    /// after the last `accept` is reset; the time of being unready keeps that rare.
    fn accept_completed(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, address)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.serve_or_refuse(stream, address);
            }
        }
    }
}

/// Answers a connection over the limit with a problem, and closes it.
///
/// Bytes that the client still sends are read for a moment. If they stayed unread, the kernel would
/// reset the connection and the client would lose the response.
async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, async {
        let full = problem::raw(StatusCode::SERVICE_UNAVAILABLE, "the server has no free connection");
        stream.write_all(&full).await?;
        stream.shutdown().await?;
        let mut sent = [0; 4096];
        while stream.read(&mut sent).await? > 0 {}
        Ok::<_, std::io::Error>(())
    })
    .await;
}
