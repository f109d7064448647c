//! The accept loop: connections are counted, watched, and finished before the process ends.
//!
//! At the bound a connection gets a 503 with `Retry-After` and is closed; the ones that are served are not disturbed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::http::connection::{AnsweringBody, Patience, WatchedIo};
use crate::http::problem;

/// How long the refusal of a connection may take.
const REFUSAL: Duration = Duration::from_secs(1);

/// The pause after an error of `accept` itself, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;

/// The most bytes that one HTTP/1 connection buffers; a head cannot be larger.
const MAX_BUFFER: usize = 32 * 1024;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) per_address: usize,
}

/// Connections that are open, by address.
#[derive(Debug)]
struct Open {
    limits: Limits,
    counts: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

struct Slot {
    open: Arc<Open>,
    address: IpAddr,
}

impl Open {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let mut counts = self.counts.lock();
        let (all, by_address) = &mut *counts;
        let own = by_address.get(&address).copied().unwrap_or(0);
        if *all >= self.limits.connections || own >= self.limits.per_address {
            return None;
        }
        *all += 1;
        by_address.insert(address, own + 1);
        Some(Slot { open: Arc::clone(self), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.open.counts.lock();
        let (all, by_address) = &mut *counts;
        *all -= 1;
        if let Some(own) = by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Serves until `shutdown` resolves, then lets open requests finish for at most `drain`.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let open = Arc::new(Open { limits, counts: Mutex::new((0, HashMap::new())) });
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(builder());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match open.enter(address.ip()) {
            Some(slot) => serve(&builder, &graceful, stream, address, router.clone(), slot),
            None => drop(tokio::spawn(refuse(stream))),
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
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
        .max_header_list_size(MAX_BUFFER as u32)
        .max_pending_accept_reset_streams(MAX_STREAMS as usize)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

fn serve(
    builder: &Arc<Builder<TokioExecutor>>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    slot: Slot,
) {
    // Small answers must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let patience = Patience::new();
    let io = WatchedIo::new(TokioIo::new(stream), Arc::clone(&patience));
    let service = {
        let patience = Arc::clone(&patience);
        service_fn(move |mut request: Request<Incoming>| {
            let answering = patience.answering(request.version() >= Version::HTTP_2);
            request.extensions_mut().insert(address);
            let answer = router.clone().oneshot(request);
            async move { answer.await.map(|response| response.map(|body| AnsweringBody::new(body, answering))) }
        })
    };
    let watcher = graceful.watcher();
    let builder = Arc::clone(builder);
    tokio::spawn(async move {
        let connection = watcher.watch(builder.serve_connection(io, service).into_owned());
        tokio::select! {
            result = connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = patience.exhausted() => tracing::debug!("a connection was idle or slow for too long"),
        }
        drop(slot);
    });
}

async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(REFUSAL, async {
        let full = problem::raw(StatusCode::SERVICE_UNAVAILABLE, "the server has no free connection");
        stream.write_all(&full).await?;
        stream.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_left_may_come_again() {
        let open = Arc::new(Open {
            limits: Limits { connections: 2, per_address: 1 },
            counts: Mutex::new((0, HashMap::new())),
        });
        let (a, b, c) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into(), [127, 0, 0, 3].into());
        let first = open.enter(a);
        assert!(first.is_some() && open.enter(a).is_none());
        let second = open.enter(b);
        assert!(second.is_some() && open.enter(c).is_none());
        drop(first);
        assert!(open.enter(c).is_some());
    }
}
