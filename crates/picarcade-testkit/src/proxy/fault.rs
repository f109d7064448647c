//! What can happen between a client and its server.

use std::time::Duration;

/// The state of the network. It holds for all connections, old and new, until the next one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// None.
    Pass,
    /// Replies arrive this much later, and in order; how much fits through is not changed.
    Delay(Duration),
    /// Replies trickle.
    Throttle {
        /// How fast; at least 1.
        bytes_per_second: u64,
    },
    /// Connections stay open, new ones are accepted, and nothing goes through in either direction. What was sent meanwhile
    /// arrives when the fault ends, as TCP would have it.
    BlackHole,
    /// Requests arrive, replies do not: the server has done it and the client cannot know. A connection that
    /// lost a reply is cut when the fault ends.
    LoseReplies,
    /// Each connection is closed after so many more bytes of replies: in the middle of one, if it is chosen so.
    CutAfter {
        /// How many bytes still pass.
        bytes: u64,
    },
    /// The client sees the end of the stream and may go on sending.
    HalfClose,
    /// Open connections go on, new ones are refused: a full backlog, a server that drains.
    RefuseNew,
    /// Open connections are closed, new ones refused: a server that is gone.
    Cut,
    /// Open connections are reset (RST), new ones accepted and reset at once: a load balancer without a server.
    Reset,
}

impl Fault {
    /// Whether the port is closed.
    pub(super) fn refuses(self) -> bool {
        matches!(self, Self::RefuseNew | Self::Cut)
    }

    /// Whether no connection can live.
    pub(super) fn ends_connections(self) -> bool {
        matches!(self, Self::Cut | Self::Reset)
    }
}

/// A fault, and which it is in the order of setting: so that the same one set twice begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) number: u64,
    pub(super) fault: Fault,
}
