//! What one request is charged to.

use crate::{Demand, Limiter, Subjects};

/// What one request is charged to: subjects, a demand, and the limiter that counts it.
///
/// ```
/// use picarcade_ratelimit::tower::Charge;
/// use picarcade_ratelimit::{Demand, Subjects};
///
/// let one_request = Charge::to(Subjects::default().user("ada"));
/// let batch = Charge::to(Subjects::default().user("ada")).demand(Demand::requests(16));
/// assert_ne!(one_request.demand, batch.demand);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// Whose limits the request counts against.
    pub subjects: Subjects<'a>,
    /// What the request asks of them: one request, unless it is set.
    pub demand: Demand,
    /// The limiter that decides, if it is not the one of the layer.
    pub limiter: Option<Limiter>,
}

impl<'a> Charge<'a> {
    /// Creates a charge of one request to these subjects.
    #[must_use]
    pub fn to(subjects: Subjects<'a>) -> Self {
        Self { subjects, demand: Demand::requests(1), limiter: None }
    }

    /// Sets the demand: the size of a batch, or a price in dollars. A price is charged when the
    /// request is admitted, and stays charged if the service fails or the caller leaves.
    #[must_use]
    pub fn demand(mut self, demand: Demand) -> Self {
        self.demand = demand;
        self
    }

    /// Sets the limiter that decides, for example the one of the plan of the customer. Limiters
    /// that share a [`Store`](crate::Store) and have the same windows share their counts, so a
    /// customer who changes the plan keeps what was counted, and global limits hold over all
    /// plans.
    #[must_use]
    pub fn limiter(mut self, limiter: &Limiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    pub(super) fn into_owned(self) -> Charge<'static> {
        Charge { subjects: self.subjects.into_owned(), demand: self.demand, limiter: self.limiter }
    }
}
