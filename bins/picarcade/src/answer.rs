//! An answer of the flow with the id of its request.

use serde::Serialize;

/// An answer and the id of the request that it answers, as one JSON object.
#[derive(Debug, Serialize)]
pub(crate) struct WithRequestId<'a, T> {
    #[serde(flatten)]
    pub(crate) answer: &'a T,
    pub(crate) request_id: &'a str,
}
