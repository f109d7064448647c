//! What the user of the layer decides.

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

/// Decides whose limits a request counts against, and how a refusal is answered.
pub trait Policy<Request, Response, Failure> {
    /// Returns the subjects whose limits the request counts against.
    fn subjects<'a>(&self, request: &'a Request) -> Subjects<'a>;

    /// Returns how many requests it counts for: one, unless it is a batch.
    fn requests(&self, request: &Request) -> u64 {
        let _ = request;
        1
    }

    /// Returns the answer to a request that does not reach the service.
    ///
    /// # Errors
    /// An error of the service, if it expresses refusals as errors.
    fn refuse(&self, refusal: Refusal) -> Result<Response, Failure>;

    /// Adds the report to the answer of the service.
    fn admit(&self, report: &Report, response: &mut Response) {
        let _ = (report, response);
    }
}
