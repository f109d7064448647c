//! The patience with one connection: how long it may be idle, and how long it may take to say what it wants.
//!
//! hyper's own header timeout counts from the end of the last response, so it would cut every idle keep-alive connection
//! after ten seconds. Here the two are told apart: an idle connection has its 75 s, and the first byte of a request starts
//! the 10 s in which its head must be complete. A client that does not take its answer is cut by the same clock: what is
//! answered whole counts as answered at once, and a stream that cannot be written for as long as one may be idle is ended.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
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
    /// Responses of the service that hyper has not taken completely.
    unsent: AtomicU32,
    /// Whether bytes of a response of the service may still wait in hyper's buffer. Set when a
    /// request begins; cleared by a flush that finds no response under way.
    writing: AtomicBool,
}

impl Patience {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            deadline_ms: AtomicU64::new(HEAD.as_millis() as u64),
            answering: AtomicU32::new(0),
            phase: AtomicU32::new(COMING),
            stalled_ms: AtomicU64::new(NEVER),
            unsent: AtomicU32::new(0),
            writing: AtomicBool::new(false),
        })
    }

    /// Returns the guard of a request whose head is complete. The guard ends when hyper has taken
    /// the whole response.
    pub(crate) fn answering(self: &Arc<Self>, multiplexed: bool) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        self.unsent.fetch_add(1, Ordering::Relaxed);
        self.writing.store(true, Ordering::Relaxed);
        self.deadline_ms.store(NEVER, Ordering::Relaxed);
        if multiplexed {
            self.phase.store(MULTIPLEXED, Ordering::Relaxed);
        }
        Answering { patience: Arc::clone(self), multiplexed, made: false }
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

    /// Records that hyper has flushed its buffer.
    fn flushed(&self) {
        if self.unsent.load(Ordering::Relaxed) == 0 {
            self.writing.store(false, Ordering::Relaxed);
        }
    }

    /// Returns whether the next byte that hyper writes begins a message that is not the service's.
    ///
    /// hyper serves one request at a time on HTTP/1, and it calls `poll_flush` of the socket only
    /// after the last byte of its buffer is written. So the only message that can begin between a
    /// flush and the next request is hyper's own answer to malformed HTTP.
    fn is_at_boundary(&self) -> bool {
        !self.writing.load(Ordering::Relaxed) && self.phase.load(Ordering::Relaxed) != MULTIPLEXED
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

/// The guard of one request: its response is being made or is on its way to the client.
#[derive(Debug)]
pub(crate) struct Answering {
    patience: Arc<Patience>,
    multiplexed: bool,
    /// Whether the response is made, so that only the client can delay the rest.
    made: bool,
}

impl Answering {
    fn set_made(&mut self) {
        if !std::mem::replace(&mut self.made, true) {
            self.patience.answered(self.multiplexed);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.set_made();
        self.patience.unsent.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body that holds its request's guard. A body of a known length is made already; a
/// stream of events is made when it ends.
#[derive(Debug)]
pub(crate) struct AnsweringBody {
    inner: axum::body::Body,
    _answering: Answering,
}

impl AnsweringBody {
    pub(crate) fn new(inner: axum::body::Body, mut answering: Answering) -> Self {
        if inner.size_hint().exact().is_some() {
            answering.set_made();
        }
        Self { inner, _answering: answering }
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

/// A socket that reports reads and writes to [`Patience`] and replaces hyper's own answer to
/// malformed HTTP by a problem.
///
/// hyper writes that answer past the service, without a body and without a request id. The answer
/// is recognized by where it stands (at a message boundary of HTTP/1 where no response of the
/// service is under way) and by its exact shape. Nothing else is ever replaced, so no text of a
/// user can be taken for it.
#[derive(Debug)]
pub(crate) struct WatchedIo<T> {
    inner: T,
    patience: Arc<Patience>,
    /// The problem that is written in the place of hyper's answer, and how much of it is written.
    instead: Option<(Vec<u8>, usize)>,
    /// Whether hyper's answer can still come. False from the first bytes at a boundary that are
    /// something else: the connection speaks HTTP/2.
    is_http1: bool,
}

impl<T> WatchedIo<T> {
    pub(crate) fn new(inner: T, patience: Arc<Patience>) -> Self {
        Self { inner, patience, instead: None, is_http1: true }
    }
}

/// Returns the status of hyper's own answer to malformed HTTP, if `message` is one and nothing
/// else: a client error, whose only fields are `connection`, `content-length: 0` and `date`.
fn malformed(message: &[u8]) -> Option<StatusCode> {
    // The answer follows the version of the connection's last request.
    let line = message.strip_prefix(b"HTTP/1.1 ").or_else(|| message.strip_prefix(b"HTTP/1.0 "))?;
    let head = std::str::from_utf8(line).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let (code, reason) = lines.next()?.split_once(' ')?;
    let status = StatusCode::from_bytes(code.as_bytes()).ok()?;
    let is_hypers = lines.all(|field| match field.split_once(": ") {
        Some(("connection", value)) => matches!(value, "close" | "keep-alive"),
        Some(("content-length", value)) => value == "0",
        Some(("date", value)) => value.len() == "Mon, 01 Jan 2024 00:00:00 GMT".len(),
        _ => false,
    });
    (is_hypers && status.is_client_error() && status.canonical_reason() == Some(reason)).then_some(status)
}

impl<T: Write + Unpin> WatchedIo<T> {
    /// Writes the problem that takes the place of `buf`; `false` when `buf` is to be written.
    fn poll_instead(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<bool>> {
        if self.instead.is_none() {
            if buf.is_empty() || !self.is_http1 || !self.patience.is_at_boundary() {
                return Poll::Ready(Ok(false));
            }
            let Some(status) = malformed(buf) else {
                self.is_http1 = false;
                return Poll::Ready(Ok(false));
            };
            self.instead = Some((problem::raw(status, "the request is not valid HTTP"), 0));
        }
        while let Some((bytes, written)) = &mut self.instead {
            let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) else { break };
            let polled = Pin::new(&mut self.inner).poll_write(cx, rest);
            self.patience.wrote(polled.is_ready());
            match ready!(polled)? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                length => *written += length,
            }
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
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.patience.flushed();
        Poll::Ready(Ok(()))
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
        // hyper's answer has no body, so it is always the only buffer.
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        let (first, more) = (filled.next().map_or(&[][..], |buf| buf), filled.next().is_some());
        if !more && ready!(self.poll_instead(cx, first))? {
            return Poll::Ready(Ok(first.len()));
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

    /// hyper's own answer.
    const OWN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 30 Nov 2026 00:00:00 GMT\r\n\r\n";

    /// A socket that takes at most five bytes at a time.
    #[derive(Debug, Default)]
    struct Narrow(Vec<u8>);

    impl Write for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            let taken = &buf[..buf.len().min(5)];
            self.0.extend_from_slice(taken);
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn write(io: &mut WatchedIo<Narrow>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, bytes)).await.unwrap();
            bytes = &bytes[written..];
        }
    }

    async fn flush(io: &mut WatchedIo<Narrow>) {
        poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await.unwrap();
    }

    #[tokio::test]
    async fn only_a_message_at_a_boundary_is_replaced() {
        let patience = Patience::new();
        let mut io = WatchedIo::new(Narrow::default(), Arc::clone(&patience));
        let answering = patience.answering(false);
        let body = AnsweringBody::new(axum::body::Body::from("x"), answering);
        // A flush in the middle of a response makes no boundary.
        flush(&mut io).await;
        write(&mut io, OWN).await;
        drop(body);
        // The response is taken, but the rest of it is not flushed.
        write(&mut io, OWN).await;
        assert_eq!(io.inner.0, [OWN, OWN].concat());
        flush(&mut io).await;
        write(&mut io, OWN).await;
        let text = String::from_utf8(io.inner.0.split_off(2 * OWN.len())).unwrap();
        assert!(text.contains("application/problem+json") && text.contains("x-request-id"), "{text}");
    }

    #[tokio::test]
    async fn a_response_that_came_and_went_between_two_writes_is_no_boundary() {
        let patience = Patience::new();
        let mut io = WatchedIo::new(Narrow::default(), Arc::clone(&patience));
        flush(&mut io).await;
        drop(patience.answering(false));
        write(&mut io, OWN).await;
        assert_eq!(io.inner.0, OWN);
    }

    #[tokio::test]
    async fn nothing_is_replaced_on_http2() {
        let patience = Patience::new();
        let mut io = WatchedIo::new(Narrow::default(), Arc::clone(&patience));
        write(&mut io, b"\0\0\0\x04\0\0\0\0\0").await;
        flush(&mut io).await;
        write(&mut io, OWN).await;
        assert!(io.inner.0.ends_with(OWN));
        let io = WatchedIo::new(Narrow::default(), Arc::clone(&patience));
        drop(patience.answering(true));
        assert!(!io.patience.is_at_boundary());
    }

    #[test]
    fn only_the_exact_shape_is_hypers_answer() {
        assert_eq!(malformed(OWN), Some(StatusCode::BAD_REQUEST));
        let own = std::str::from_utf8(OWN).unwrap();
        assert!(malformed(own.replace("HTTP/1.1", "HTTP/1.0").as_bytes()).is_some());
        for other in [
            own.replace("400 Bad Request", "200 OK"),
            own.replace("Bad Request", "Bad request"),
            own.replace("content-length: 0", "content-length: 1"),
            own.replace("connection: close", "x-request-id: 1"),
            own.replace("00:00:00 GMT", "00:00:00 GMT "),
            own.replace("\r\n\r\n", "\r\n"),
            format!("{own}x"),
            format!("x{own}"),
            own[..own.len() - 1].to_owned(),
            own[..30].to_owned(),
            String::new(),
        ] {
            assert_eq!(malformed(other.as_bytes()), None, "{other}");
        }
    }
}
