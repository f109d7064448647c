//! A TCP proxy with faults on command, for failures that killing a process does not cause: slow,
//! torn, one-way, and silent connections.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::host::port::Port;
use crate::host::runtime;
use crate::proxy::connection::{self, Ticket};
use crate::proxy::fault::{Fault, Setting, Shared};

const RETRY: Duration = Duration::from_millis(10);

/// A proxy in front of one server. It keeps its port while it refuses connections, and ends on
/// drop.
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens in front of `upstream`, which need not exist yet.
    ///
    /// # Errors
    ///
    /// Fails without a free port.
    pub async fn start(upstream: impl Into<SocketAddr>) -> Result<Self> {
        let upstream = upstream.into();
        runtime::run(async move {
            let port = Port::free()?;
            let listener = listen(port.number()).await?;
            let shared = Arc::new(Shared {
                upstream,
                setting: watch::Sender::new(Setting { number: 0, fault: Fault::Pass }),
                cut_below: watch::Sender::new(0),
                open: watch::Sender::new(BTreeSet::new()),
                listening: watch::Sender::new(true),
                accepted: AtomicU64::new(0),
                request_bytes: AtomicU64::new(0),
                reply_bytes: AtomicU64::new(0),
            });
            let task = runtime::spawn(run(listener, port.number(), Arc::clone(&shared)))?;
            Ok(Self { port, shared, task })
        })
        .await
    }

    /// Returns the address for clients.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// Returns the port for clients.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns `scheme://` and the address of the proxy.
    pub fn url_for(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr())
    }

    /// Replaces the address of `url` with the address of the proxy. User, password, path and query
    /// stay.
    pub fn through(&self, url: &str) -> String {
        let Some((scheme, rest)) = url.split_once("://") else { return self.url_for(url) };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let secret = authority.rfind('@').map_or("", |at| authority.split_at(at + 1).0);
        format!("{scheme}://{secret}{}{tail}", self.addr())
    }

    /// Sets the state of the network. When the call returns, the port is open or closed, and
    /// connections that cannot exist are gone.
    pub async fn set(&self, fault: Fault) {
        self.shared.setting.send_modify(|now| *now = Setting { number: now.number + 1, fault });
        // The sender lives as long as the proxy.
        let _ = self.shared.listening.subscribe().wait_for(|&open| open != fault.refuses()).await;
        if fault.ends_connections() {
            self.gone(self.accepted()).await;
        }
    }

    /// Closes the connections that are open now and returns when they are closed. The state of the
    /// network stays.
    pub async fn cut_all(&self) {
        let below = self.accepted();
        self.shared.cut_below.send_replace(below);
        self.gone(below).await;
    }

    async fn gone(&self, below: u64) {
        let _ = self
            .shared
            .open
            .subscribe()
            .wait_for(|open| open.first().is_none_or(|&oldest| oldest >= below))
            .await;
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> usize {
        self.shared.open.borrow().len()
    }

    /// Returns the number of accepted connections.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes from clients to the server.
    pub fn request_bytes(&self) -> u64 {
        self.shared.request_bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes from the server to clients.
    pub fn reply_bytes(&self) -> u64 {
        self.shared.reply_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(Error::io(format!("cannot listen on port {port}")))
}

/// Accepts connections while the fault allows it. The connections end with this task.
async fn run(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    let mut settings = shared.setting.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let refuses = settings.borrow_and_update().fault.refuses();
        if refuses {
            listener = None;
        } else if listener.is_none() {
            listener = listen(port).await.ok();
        }
        shared.listening.send_replace(listener.is_some());
        tokio::select! {
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(_) = connections.join_next() => {}
            client = accept(listener.as_ref()) => {
                connections.spawn(connection::serve(client, Ticket::draw(&shared)));
            }
            // The port is reserved, so it can be bound again. The system may need a moment.
            () = sleep(RETRY), if listener.is_none() && !refuses => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> tokio::net::TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}
