//! Dollars set aside for a call that has not been billed yet.
//!
//! A reservation has two lives. Until [`Reservation::dispatched`], nobody can have been billed: dropping it (an early
//! return, a panic, a cancelled future) gives the dollars back. From then on the provider may bill whatever becomes
//! of us: dropping it leaves the estimate charged, which the deadline makes final. Neither waits for anything.

use std::fmt;

use crate::{Error, Limiter, ReservationId, Settled};

/// Dollars set aside. Settle it, release it, or drop it; see the module's text for what a drop means.
#[must_use = "dropping a reservation that was not dispatched releases it"]
pub struct Reservation {
    held: Option<Held>,
    text: String,
    micros: u64,
}

struct Held {
    limiter: Limiter,
    id: ReservationId,
    dispatched: bool,
}

impl Reservation {
    pub(crate) fn new(limiter: Limiter, id: ReservationId, micros: u64) -> Self {
        Self { text: id.to_string(), held: Some(Held { limiter, id, dispatched: false }), micros }
    }

    pub(crate) fn empty() -> Self {
        Self { held: None, text: String::new(), micros: 0 }
    }

    /// Ends one that the store does not have.
    pub(crate) fn forget(mut self) {
        if let Some(held) = &mut self.held {
            held.dispatched = true;
        }
    }

    /// The id by which any instance can settle it; empty when nothing was reserved.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.text
    }

    /// What is reserved, in micro-dollars.
    #[must_use]
    pub fn estimate_micros(&self) -> u64 {
        self.micros
    }

    /// Whether nothing was reserved, because the call asked for no dollars.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The paid call is about to leave: from now on a drop keeps the estimate charged.
    pub fn dispatched(&mut self) {
        if let Some(held) = &mut self.held {
            held.dispatched = true;
        }
    }

    /// Leaves the reservation to whoever has its id, in this process or another. Unsettled, it is charged at its
    /// deadline.
    #[must_use = "without the id nobody can settle it"]
    pub fn detach(mut self) -> String {
        if let Some(mut held) = self.held.take() {
            held.dispatched = true;
        }
        std::mem::take(&mut self.text)
    }

    /// Puts what the call really cost in the place of the estimate: more is charged even past the limit, less is given
    /// back to the window it came from. Of an empty reservation, the answer is [`Outcome::Unknown`](crate::Outcome).
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2^53, and the store's errors. The reservation then stays charged at its
    /// estimate and can be settled by its id.
    pub async fn settle(mut self, actual_micros: u64) -> Result<Settled, Error> {
        let Some(mut held) = self.held.take() else { return Ok(Settled::unknown()) };
        held.dispatched = true;
        held.limiter.settle_id(held.id, actual_micros).await
    }

    /// Gives the estimate back: the call was not made.
    ///
    /// # Errors
    /// The store's errors. The estimate then stays charged.
    pub async fn release(mut self) -> Result<Settled, Error> {
        let Some(mut held) = self.held.take() else { return Ok(Settled::unknown()) };
        // Cancelled while it waits, the drop below still releases it.
        let answer = held.limiter.release_id(held.id).await;
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
