//! The rest of a request body that the handler did not read, as after a wrong key, a wrong path or
//! too many bytes.
//!
//! On HTTP/1 an unread body stands before the next request. hyper would close the connection
//! without announcing it, so that the client's next request fails, or reset it, so that the client
//! loses the response. So a little of the rest is read here. If the connection still cannot be used
//! again, its response says so.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;

/// How long, and how much of, an unread body is drained.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_DRAINED: usize = 1 << 20;

/// A request body that returns its rest to [`Unread`] on drop.
#[derive(Debug)]
pub(super) struct LentBody {
    inner: Option<Incoming>,
    rest: Arc<Mutex<Option<Incoming>>>,
}

/// The rest of a lent body.
#[derive(Debug)]
pub(super) struct Unread(Arc<Mutex<Option<Incoming>>>);

/// Lends a body to a handler.
pub(super) fn lend(body: Incoming) -> (LentBody, Unread) {
    let rest = Arc::default();
    (LentBody { inner: Some(body), rest: Arc::clone(&rest) }, Unread(rest))
}

impl Unread {
    /// Returns whether the body was read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.0.lock().as_ref().is_none_or(Body::is_end_stream)
    }

    /// Drains the rest if it is small and arrives in time; returns whether the connection can be
    /// used again.
    pub(super) async fn drain(self) -> bool {
        let rest = self.0.lock().take();
        let Some(mut body) = rest.filter(|body| !body.is_end_stream()) else { return true };
        let draining = async {
            let mut allowed = MAX_DRAINED;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(left) = allowed.checked_sub(length) else { return false };
                allowed = left;
            }
            true
        };
        tokio::time::timeout(DRAIN_TIMEOUT, draining).await.unwrap_or(false)
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for LentBody {
    fn drop(&mut self) {
        *self.rest.lock() = self.inner.take();
    }
}
