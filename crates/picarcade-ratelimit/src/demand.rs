//! What one call asks of the limits.

use crate::Error;
use crate::dollars::checked;

/// The amounts that one call asks of the limits, each 0 to 2^53. An amount of zero asks nothing of
/// the limits of that unit, which are still reported.
///
/// ```
/// use picarcade_ratelimit::Demand;
/// assert_eq!(Demand::requests(1), Demand { requests: 1, cost_micros: 0 });
/// assert_eq!(Demand::cost_micros(20_000), Demand { requests: 0, cost_micros: 20_000 });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Demand {
    /// The number of requests.
    pub requests: u64,
    /// The micro-dollars to reserve.
    pub cost_micros: u64,
}

impl Demand {
    /// Creates a demand for requests alone.
    #[must_use]
    pub const fn requests(requests: u64) -> Self {
        Self { requests, cost_micros: 0 }
    }

    /// Creates a demand for dollars alone.
    #[must_use]
    pub const fn cost_micros(cost_micros: u64) -> Self {
        Self { requests: 0, cost_micros }
    }

    /// Returns an error if an amount cannot be counted exactly.
    pub(crate) fn validate(self) -> Result<(), Error> {
        checked("requests", self.requests)?;
        checked("cost_micros", self.cost_micros).map(drop)
    }
}
