//! What the layer leaves to its user.

use crate::{Denial, Error, Report, Subjects};

/// Why a request did not reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A limit had no room.
    Denied(Denial),
    /// No decision was made.
    Failed(Error),
}

/// Who a request is, and what to answer it.
pub trait Policy<Request, Response, Failure> {
    /// Whose limits the request counts against.
    fn subjects<'a>(&self, request: &'a Request) -> Subjects<'a>;

    /// How many requests it counts for. One, unless it is a batch.
    fn requests(&self, request: &Request) -> u64 {
        let _ = request;
        1
    }

    /// The answer to a request that does not reach the service.
    ///
    /// # Errors
    /// Whatever the service's own error can say of a refusal.
    fn refuse(&self, refusal: Refusal) -> Result<Response, Failure>;

    /// Adds what the limits say to the service's answer.
    fn admit(&self, report: &Report, response: &mut Response) {
        let _ = (report, response);
    }
}
