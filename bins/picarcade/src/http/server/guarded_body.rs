//! A response body that holds the guard of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::timeouts::ResponseGuard;

/// A response body with the guard of its request. A body of known length is complete at once; a
/// stream is complete when it ends.
#[derive(Debug)]
pub(super) struct GuardedBody {
    inner: axum::body::Body,
    _guard: ResponseGuard,
}

impl GuardedBody {
    pub(super) fn new(inner: axum::body::Body, mut guard: ResponseGuard) -> Self {
        if inner.size_hint().exact().is_some() {
            guard.complete();
        }
        Self { inner, _guard: guard }
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
