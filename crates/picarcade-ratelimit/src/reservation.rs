//! Dollars that are reserved for a call that has not been billed yet.
//!
//! A reservation has two phases. Before [`Reservation::dispatched`] the provider cannot have billed
//! the call, so a drop (an early return, a panic, a cancelled future) gives the dollars back. After
//! it the provider may bill the call whatever happens here, so a drop leaves the estimate charged,
//! which becomes final at the deadline. A drop never waits.

use std::fmt;
use std::sync::Arc;

use crate::inner::Inner;
use crate::{Error, ReservationId, Settled};

/// Reserved dollars, to be settled or released.
///
/// A drop before [`Reservation::dispatched`] releases the reservation. A drop after it leaves the
/// estimate charged.
#[must_use = "dropping a reservation that was not dispatched releases it"]
pub struct Reservation {
    held: Option<Held>,
    text: String,
    micros: u64,
}

struct Held {
    limiter: Arc<Inner>,
    id: ReservationId,
    dispatched: bool,
}

impl Reservation {
    pub(crate) fn new(limiter: Arc<Inner>, id: ReservationId, micros: u64) -> Self {
        Self { text: id.to_string(), held: Some(Held { limiter, id, dispatched: false }), micros }
    }

    pub(crate) fn empty() -> Self {
        Self { held: None, text: String::new(), micros: 0 }
    }

    /// Drops a reservation that the store does not have.
    pub(crate) fn forget(mut self) {
        if let Some(held) = &mut self.held {
            held.dispatched = true;
        }
    }

    /// Returns the id by which any instance can settle the reservation. Empty if nothing was
    /// reserved.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.text
    }

    /// Returns the reserved amount in micro-dollars.
    #[must_use]
    pub fn estimate_micros(&self) -> u64 {
        self.micros
    }

    /// Returns whether nothing was reserved, because the call asked for no dollars.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Records that the paid call is about to be sent. From now on a drop keeps the estimate
    /// charged.
    pub fn dispatched(&mut self) {
        if let Some(held) = &mut self.held {
            held.dispatched = true;
        }
    }

    /// Returns the id and leaves the reservation open, to be settled by its id from any process. If
    /// it is not settled, it is charged at its deadline.
    #[must_use = "the reservation can only be settled by its id"]
    pub fn detach(mut self) -> String {
        if let Some(mut held) = self.held.take() {
            held.dispatched = true;
        }
        std::mem::take(&mut self.text)
    }

    /// Replaces the estimate by the actual cost.
    ///
    /// A higher cost is charged even past the limit. The rest of a lower cost is given back to the
    /// window that it was charged to. For an empty reservation the outcome is
    /// [`Outcome::Unknown`](crate::Outcome::Unknown).
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2^53, and the errors of the store. The reservation then
    /// stays charged at its estimate and can be settled by its id.
    pub async fn settle(mut self, actual_micros: u64) -> Result<Settled, Error> {
        let Some(mut held) = self.held.take() else { return Ok(Settled::unknown()) };
        held.dispatched = true;
        held.limiter.settle(held.id, actual_micros).await
    }

    /// Gives the estimate back, because the call was not made.
    ///
    /// # Errors
    /// The errors of the store. The estimate then stays charged.
    pub async fn release(mut self) -> Result<Settled, Error> {
        let Some(mut held) = self.held.take() else { return Ok(Settled::unknown()) };
        // Still marked as not dispatched here: if this future is cancelled, the drop releases it.
        let answer = held.limiter.release(held.id).await;
        held.dispatched = true;
        answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.dispatched {
            self.limiter.release_in_background(self.id);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dispatched = self.held.as_ref().is_some_and(|held| held.dispatched);
        f.debug_struct("Reservation")
            .field("id", &self.text)
            .field("estimate_micros", &self.micros)
            .field("dispatched", &dispatched)
            .finish_non_exhaustive()
    }
}
