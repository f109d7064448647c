//! The state that the proxy and its connections share.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use tokio::sync::watch;

use super::fault::Setting;

/// What the proxy changes and its connections observe.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    pub(super) setting: watch::Sender<Setting>,
    /// Connections with a lower number must end.
    pub(super) cut_below: watch::Sender<u64>,
    /// The numbers of the open connections.
    pub(super) open: watch::Sender<BTreeSet<u64>>,
    /// Whether the port is open.
    pub(super) listening: watch::Sender<bool>,
    /// The number of connections so far, which is the number of the next one.
    pub(super) accepted: AtomicU64,
    pub(super) request_bytes: AtomicU64,
    pub(super) reply_bytes: AtomicU64,
}
