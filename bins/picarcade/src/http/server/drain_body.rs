//! What is left of a request's body when it has been answered without it: a wrong key, a wrong path, too many bytes.
//!
//! On HTTP/1 an unread body stands before the next request. hyper would close the connection without having announced it, so
//! that the client's next request fails, or would reset it together with the answer. Here a little of it is taken in, and a
//! connection that cannot be used again says so in its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;

/// How long, and how much of, a body that is not wanted is still taken in.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// A body that comes back when its reader has enough of it.
#[derive(Debug)]
pub(crate) struct Lent {
    inner: Option<Incoming>,
    home: Arc<Mutex<Option<Incoming>>>,
}

/// Where a lent body comes back to.
#[derive(Debug)]
pub(crate) struct Unread(Arc<Mutex<Option<Incoming>>>);

/// Lends a body to the one who answers.
pub(crate) fn lend(body: Incoming) -> (Lent, Unread) {
    let home = Arc::default();
    (Lent { inner: Some(body), home: Arc::clone(&home) }, Unread(home))
}

impl Unread {
    /// Whether nothing is left.
    pub(crate) fn is_read(&self) -> bool {
        self.0.lock().as_ref().is_none_or(Body::is_end_stream)
    }

    /// Takes in what is left, if it is little and comes soon; whether the connection can be used again.
    pub(crate) async fn settle(self) -> bool {
        let left = self.0.lock().take();
        let Some(mut body) = left.filter(|body| !body.is_end_stream()) else { return true };
        let taking = async {
            let mut room = LINGER_BYTES;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                let Some(less) = room.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                    return false;
                };
                room = less;
            }
            true
        };
        tokio::time::timeout(LINGER, taking).await.unwrap_or(false)
    }
}

impl Body for Lent {
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

impl Drop for Lent {
    fn drop(&mut self) {
        *self.home.lock() = self.inner.take();
    }
}
