//! A response before it is serialized: its content, and how it is delivered.

use std::time::Duration;

use serde_json::Value;

use super::reply::Coding;

/// The reaction of the mock to a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) coding: Option<Coding>,
    pub(super) delay: Duration,
    pub(super) delivery: Delivery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Correctly.
    Whole,
    /// Half of the body, then the connection is cut.
    Half,
    /// Half of the body in chunks, then the connection is cut.
    HalfChunked,
    /// With this number of bytes in place of [`FILLER`].
    Padded(u64),
    /// Not sent; the connection stays open.
    Never,
    /// The connection is reset instead.
    Reset,
}

/// The place of the padding. It has only letters, so no level of JSON quoting changes it.
pub(super) const FILLER: &str = "PADDINGGOESHERE";

impl Response {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string(),
            coding: None,
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn delivered(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }
}
