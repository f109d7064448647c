//! Faults between a client and its server, and the state in which a proxy and its connections share
//! them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;

/// The state of the network. It applies to all connections, old and new, until the next one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No fault.
    Pass,
    /// Replies arrive this much later and in order. The throughput does not change.
    Delay(Duration),
    /// Connections stay open and new ones are accepted, but nothing passes in either direction.
    /// Data that was sent meanwhile arrives when the fault ends, as in TCP.
    BlackHole,
    /// Requests arrive and replies do not: the server has done the work and the client cannot know.
    /// When the fault ends, connections that lost a reply are cut.
    LoseReplies,
    /// Each connection is closed after this number of further bytes of replies, which may be in the
    /// middle of one.
    CutAfter {
        /// The number of bytes that still pass.
        bytes: u64,
    },
    /// The client sees the end of the stream and may continue to send.
    HalfClose,
    /// Open connections are closed and new ones refused, as without a server.
    Cut,
    /// Open connections are reset (RST). New ones are accepted and reset at once, as by a load
    /// balancer without a server.
    Reset,
}

impl Fault {
    /// Returns whether the port is closed.
    pub(super) fn refuses(self) -> bool {
        self == Self::Cut
    }

    /// Returns whether no connection can exist.
    pub(super) fn ends_connections(self) -> bool {
        matches!(self, Self::Cut | Self::Reset)
    }
}

/// A fault and its sequence number, so that setting the same fault twice starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) number: u64,
    pub(super) fault: Fault,
}

/// What the proxy changes and its connections observe.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    pub(super) setting: watch::Sender<Setting>,
    /// Connections with a lower number must end.
    pub(super) cut_below: watch::Sender<u64>,
    /// The numbers of the open connections.
    pub(super) open: watch::Sender<BTreeSet<u64>>,
    pub(super) listening: watch::Sender<bool>,
    /// The number of connections so far, which is the number of the next one.
    pub(super) accepted: AtomicU64,
    pub(super) request_bytes: AtomicU64,
    pub(super) reply_bytes: AtomicU64,
}
