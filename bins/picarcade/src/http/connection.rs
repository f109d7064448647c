//! The patience with one connection: how long it may be idle, and how long it may take to say what it wants.
//!
//! hyper's own header timeout counts from the end of the last response, so it would cut every idle keep-alive connection
//! after ten seconds. Here the two are told apart: an idle connection has its 75 s, and the first byte of a request starts
//! the 10 s in which its head must be complete. A client that does not take its answer is cut by the same clock: what is
//! answered whole counts as answered at once, and a stream that cannot be written for as long as one may be idle is ended.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::Instant;

use crate::http::problem;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);

/// A deadline that never comes: a request is being answered, which has its own deadlines.
const NEVER: u64 = u64::MAX;

/// A request is coming in or being answered, or none has come yet.
const COMING: u32 = 0;

/// The next byte begins a new request.
const BETWEEN: u32 = 1;

/// HTTP/2: any frame may come at any time and is not the beginning of a head, and a stop is part of the protocol.
const MULTIPLEXED: u32 = 2;

/// How often a stop looks whether a connection is between two requests.
const LOOK: Duration = Duration::from_millis(5);

/// What the watchdog, the socket and the service share about one connection.
///
/// The deadline is the single value that the watchdog believes. Relaxed ordering is enough: a wake-up that reads an old
/// deadline only looks again.
#[derive(Debug)]
pub(crate) struct Patience {
    begun: Instant,
    deadline_ms: AtomicU64,
    /// Requests that are being answered; HTTP/2 has several.
    answering: AtomicU32,
    /// [`COMING`], [`BETWEEN`] or [`MULTIPLEXED`].
    phase: AtomicU32,
    /// Since when nothing could be written, in milliseconds; `NEVER` when the last write went through.
    stalled_ms: AtomicU64,
}

impl Patience {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            deadline_ms: AtomicU64::new(HEAD.as_millis() as u64),
            answering: AtomicU32::new(0),
            phase: AtomicU32::new(COMING),
            stalled_ms: AtomicU64::new(NEVER),
        })
    }

    /// A request's head is complete. The guard ends when its answer is handed over.
    pub(crate) fn answering(self: &Arc<Self>, multiplexed: bool) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        self.deadline_ms.store(NEVER, Ordering::Relaxed);
        if multiplexed {
            self.phase.store(MULTIPLEXED, Ordering::Relaxed);
        }
        Answering { patience: Arc::clone(self), multiplexed }
    }

    /// Waits until the connection has used up its patience.
    ///
    /// Poll it after the connection: what the connection has just received may have brought the deadline nearer.
    pub(crate) async fn exhausted(&self) {
        let mut sleep = pin!(tokio::time::sleep_until(self.begun + HEAD));
        poll_fn(|cx| {
            loop {
                if let Some(deadline) = self.deadline().filter(|deadline| *deadline < sleep.deadline()) {
                    sleep.as_mut().reset(deadline);
                }
                ready!(sleep.as_mut().poll(cx));
                if self.is_exhausted() {
                    return Poll::Ready(());
                }
                // While a request is answered, look again after the shortest time in which the state can become due.
                sleep.as_mut().reset(self.deadline().unwrap_or_else(|| Instant::now() + HEAD));
            }
        })
        .await;
    }

    /// When patience ends; none while a request is answered.
    fn deadline(&self) -> Option<Instant> {
        let deadline = self.deadline_ms.load(Ordering::Relaxed);
        (deadline != NEVER).then(|| self.begun + Duration::from_millis(deadline))
    }

    fn is_exhausted(&self) -> bool {
        let now = self.now_ms();
        let stalled = self.stalled_ms.load(Ordering::Relaxed);
        self.deadline_ms.load(Ordering::Relaxed) <= now
            || now.saturating_sub(stalled) >= IDLE.as_millis() as u64
    }

    /// Waits until the last request is answered and no byte of a next one has come. A connection that has not asked for
    /// anything yet is not between two requests: its first one may be on its way.
    pub(crate) async fn between_requests(&self) {
        while self.phase.load(Ordering::Relaxed) == COMING {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether the last attempt to write went through.
    fn wrote(&self, went_through: bool) {
        if went_through {
            self.stalled_ms.store(NEVER, Ordering::Relaxed);
        } else {
            self.stalled_ms.fetch_min(self.now_ms(), Ordering::Relaxed);
        }
    }

    fn received(&self) {
        if self.phase.load(Ordering::Relaxed) == BETWEEN
            && self.phase.swap(COMING, Ordering::Relaxed) == BETWEEN
        {
            self.deadline_ms.store(self.now_ms() + HEAD.as_millis() as u64, Ordering::Relaxed);
        }
    }

    fn answered(&self, multiplexed: bool) {
        if self.answering.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.deadline_ms.store(self.now_ms() + IDLE.as_millis() as u64, Ordering::Relaxed);
            self.phase.store(if multiplexed { MULTIPLEXED } else { BETWEEN }, Ordering::Relaxed);
        }
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

/// One request is being answered for as long as this lives.
#[derive(Debug)]
pub(crate) struct Answering {
    patience: Arc<Patience>,
    multiplexed: bool,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.patience.answered(self.multiplexed);
    }
}

/// A response body that keeps its request being answered for as long as it is made. That is the whole of a stream of
/// events; a body of a known length is made already, and whether the client takes it is up to the client.
#[derive(Debug)]
pub(crate) struct AnsweringBody {
    inner: axum::body::Body,
    _answering: Option<Answering>,
}

impl AnsweringBody {
    pub(crate) fn new(inner: axum::body::Body, answering: Answering) -> Self {
        let made = inner.size_hint().exact().is_some();
        Self { inner, _answering: (!made).then_some(answering) }
    }
}

impl Body for AnsweringBody {
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

/// A socket that tells [`Patience`] when bytes come in, and puts what hyper itself answers to malformed HTTP into the words
/// of a problem.
#[derive(Debug)]
pub(crate) struct WatchedIo<T> {
    inner: T,
    patience: Arc<Patience>,
    /// What goes out in the place of hyper's own answer, and how much of it has.
    instead: Option<(Vec<u8>, usize)>,
}

impl<T> WatchedIo<T> {
    pub(crate) fn new(inner: T, patience: Arc<Patience>) -> Self {
        Self { inner, patience, instead: None }
    }
}

/// The status of an answer that hyper gave by itself: the service's own bear a request id, always.
fn malformed(head: &[u8]) -> Option<StatusCode> {
    let status = head.strip_prefix(b"HTTP/1.1 ")?.get(..3).filter(|status| status.starts_with(b"4"))?;
    let own = head.windows(12).any(|window| window == b"x-request-id");
    if own { None } else { StatusCode::from_bytes(status).ok() }
}

impl<T: Write + Unpin> WatchedIo<T> {
    /// Writes the problem, if there is one to write in the place of `buf`.
    fn poll_instead(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<bool>> {
        if self.instead.is_none() {
            let Some(status) = malformed(buf) else { return Poll::Ready(Ok(false)) };
            self.instead = Some((problem::raw(status, "the request is not valid HTTP"), 0));
        }
        while let Some((bytes, written)) = &mut self.instead {
            let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) else { break };
            *written += ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
        }
        self.instead = None;
        Poll::Ready(Ok(true))
    }
}

impl<T: Read + Unpin> Read for WatchedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            self.patience.received();
        }
        polled
    }
}

impl<T: Write + Unpin> Write for WatchedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if ready!(self.poll_instead(cx, buf))? {
            return Poll::Ready(Ok(buf.len()));
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.patience.wrote(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if ready!(self.poll_instead(cx, first))? {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.patience.wrote(polled.is_ready());
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(patience: &Patience) -> Duration {
        let begun = Instant::now();
        patience.exhausted().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_has_the_time_of_a_head() {
        assert_eq!(waited(&Patience::new()).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_its_own_time_and_the_first_byte_starts_the_heads() {
        let patience = Patience::new();
        drop(patience.answering(false));
        tokio::time::advance(IDLE.checked_sub(Duration::from_secs(1)).unwrap()).await;
        patience.received();
        tokio::time::advance(Duration::from_secs(4)).await;
        patience.received();
        assert_eq!(waited(&patience).await, HEAD.checked_sub(Duration::from_secs(4)).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_of_a_head_brings_the_end_nearer_for_who_waits_already() {
        let patience = Patience::new();
        drop(patience.answering(false));
        let mut exhausted = pin!(patience.exhausted());
        let begun = Instant::now();
        assert!(tokio::time::timeout(Duration::from_secs(20), exhausted.as_mut()).await.is_err());
        patience.received();
        exhausted.await;
        assert_eq!(begun.elapsed(), Duration::from_secs(20) + HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_answered_is_not_cut() {
        let patience = Patience::new();
        let answering = patience.answering(false);
        assert!(tokio::time::timeout(Duration::from_secs(3600), patience.exhausted()).await.is_err());
        drop(answering);
        assert!(waited(&patience).await >= IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_takes_is_cut() {
        let patience = Patience::new();
        let _answering = patience.answering(false);
        patience.wrote(false);
        tokio::time::advance(Duration::from_secs(60)).await;
        patience.wrote(true);
        patience.wrote(false);
        patience.wrote(false);
        let waited = waited(&patience).await;
        assert!(waited >= IDLE && waited <= IDLE + HEAD, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_the_request_that_may_be_on_its_way() {
        let patience = Patience::new();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, patience.between_requests()).await.is_err());
        let answering = patience.answering(false);
        assert!(tokio::time::timeout(second, patience.between_requests()).await.is_err());
        drop(answering);
        patience.between_requests().await;
        patience.received();
        assert!(tokio::time::timeout(second, patience.between_requests()).await.is_err());
        let _streams = patience.answering(true);
        patience.between_requests().await;
    }
}
