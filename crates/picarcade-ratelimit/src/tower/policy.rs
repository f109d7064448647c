//! What a service decides about its requests: the charge of each, and the answer to a refusal.

use super::charge::Charge;
use crate::{Denial, Error, Report};

/// Why a request did not reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A limit had no room.
    Denied(Denial),
    /// No decision was made.
    Failed(Error),
}

/// Decides what a request is charged to, and how a refusal is answered.
pub trait Policy<Request, Response, Failure> {
    /// Returns the subjects, the demand and, if it is not the limiter of the layer, the limiter of
    /// a request.
    fn charge<'a>(&self, request: &'a Request) -> Charge<'a>;

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
