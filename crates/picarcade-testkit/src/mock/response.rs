//! A response: its content, how it is delivered, and bodies that end early or grow while they are
//! sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
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

/// The size of one piece of padding.
const CHUNK: usize = 64 * 1024;

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

/// The remaining pieces, and how the body ends.
#[derive(Debug)]
pub(super) struct Payload {
    front: Bytes,
    padding: u64,
    back: Bytes,
    torn: Torn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Torn {
    No,
    /// Fails after one round in which the previous pieces are flushed.
    Soon,
    Now,
}

impl Payload {
    pub(super) fn whole(body: impl Into<Bytes>) -> Self {
        Self { front: body.into(), padding: 0, back: Bytes::new(), torn: Torn::No }
    }

    /// Creates a body with the first half of `body`, then an error at which the server cuts the
    /// connection.
    pub(super) fn half(body: &str) -> Self {
        let (front, _) = body.as_bytes().split_at(body.len() / 2);
        Self { front: Bytes::copy_from_slice(front), padding: 0, back: Bytes::new(), torn: Torn::Soon }
    }

    /// Creates a body with `padding` letters in place of the filler.
    pub(super) fn padded(body: &str, padding: u64) -> Self {
        let (front, back) = body.split_once(FILLER).unwrap_or((body, ""));
        let copy = |part: &str| Bytes::copy_from_slice(part.as_bytes());
        Self { front: copy(front), padding, back: copy(back), torn: Torn::No }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if !self.front.is_empty() {
            return frame(std::mem::take(&mut self.front));
        }
        if self.padding > 0 {
            let length = usize::try_from(self.padding).map_or(CHUNK, |left| left.min(CHUNK));
            self.padding -= length as u64;
            return frame(Bytes::from(vec![b'x'; length]));
        }
        if !self.back.is_empty() {
            return frame(std::mem::take(&mut self.back));
        }
        match self.torn {
            Torn::No => Poll::Ready(None),
            Torn::Soon => {
                self.torn = Torn::Now;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Torn::Now => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
        }
    }
}
