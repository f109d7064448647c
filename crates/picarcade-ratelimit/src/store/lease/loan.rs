//! The result of a request to a leased limit.

use crate::{Denial, Error, LimitStatus, ReservationId};

/// The result of a request to a leased limit.
#[derive(Debug, Clone)]
pub(super) enum Loan {
    /// The requests were taken from a chunk.
    Granted { chunk: ReservationId, status: LimitStatus },
    /// The limit has no room.
    Denied(Denial),
    /// The store made no decision.
    Failed(Error),
}
