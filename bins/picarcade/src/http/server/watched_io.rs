//! A socket that reports reads and writes to [`Timeouts`], and replaces hyper's own answer to
//! malformed HTTP by a problem.
//!
//! hyper writes that answer past the service, without a body and without a request id. The answer
//! is recognized by its position (at a message boundary of HTTP/1 where no response of the service
//! is under way) and by its exact shape. Nothing else is ever replaced, so no text of a user can be
//! mistaken for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};

use super::timeouts::Timeouts;
use crate::http::problem;

/// A socket that is watched.
#[derive(Debug)]
pub(super) struct WatchedIo<T> {
    inner: T,
    timeouts: Arc<Timeouts>,
    /// The problem that replaces hyper's answer, and how many of its bytes are written.
    replacement: Option<(Vec<u8>, usize)>,
    /// Whether hyper's answer can still come. False from the first bytes at a boundary that are
    /// something else: the connection speaks HTTP/2.
    is_http1: bool,
}

impl<T> WatchedIo<T> {
    pub(super) fn new(inner: T, timeouts: Arc<Timeouts>) -> Self {
        Self { inner, timeouts, replacement: None, is_http1: true }
    }
}

/// Returns the status of hyper's own answer to malformed HTTP, if `message` is exactly one: a
/// client error whose only fields are `connection`, `content-length: 0` and `date`.
fn status_of_own_answer(message: &[u8]) -> Option<StatusCode> {
    // The answer has the version of the connection's last request.
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
    /// Writes the problem that replaces `buf`; returns `false` if `buf` itself must be written.
    fn poll_replacement(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<bool>> {
        if self.replacement.is_none() {
            if buf.is_empty() || !self.is_http1 || !self.timeouts.is_at_boundary() {
                return Poll::Ready(Ok(false));
            }
            let Some(status) = status_of_own_answer(buf) else {
                self.is_http1 = false;
                return Poll::Ready(Ok(false));
            };
            self.replacement = Some((problem::raw(status, "the request is not valid HTTP"), 0));
        }
        while let Some((bytes, written)) = &mut self.replacement {
            let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) else { break };
            let polled = Pin::new(&mut self.inner).poll_write(cx, rest);
            self.timeouts.record_write(polled.is_ready());
            match ready!(polled)? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                length => *written += length,
            }
        }
        self.replacement = None;
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
            self.timeouts.record_read();
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
        if ready!(self.poll_replacement(cx, buf))? {
            return Poll::Ready(Ok(buf.len()));
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.timeouts.record_write(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.timeouts.record_flush();
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
        if !more && ready!(self.poll_replacement(cx, first))? {
            return Poll::Ready(Ok(first.len()));
        }
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.timeouts.record_write(polled.is_ready());
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::http::server::guarded_body::GuardedBody;

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
        let timeouts = Timeouts::new();
        let mut io = WatchedIo::new(Narrow::default(), Arc::clone(&timeouts));
        let guard = timeouts.begin_response(false);
        let body = GuardedBody::new(axum::body::Body::from("x"), guard);
        // A flush in the middle of a response makes no boundary.
        flush(&mut io).await;
        write(&mut io, OWN).await;
        drop(body);
        // hyper has taken the response but not flushed the rest of it.
        write(&mut io, OWN).await;
        assert_eq!(io.inner.0, [OWN, OWN].concat());
        flush(&mut io).await;
        write(&mut io, OWN).await;
        let text = String::from_utf8(io.inner.0.split_off(2 * OWN.len())).unwrap();
        assert!(text.contains("application/problem+json") && text.contains("x-request-id"), "{text}");
    }

    #[tokio::test]
    async fn a_response_between_two_writes_makes_no_boundary() {
        let timeouts = Timeouts::new();
        let mut io = WatchedIo::new(Narrow::default(), Arc::clone(&timeouts));
        flush(&mut io).await;
        drop(timeouts.begin_response(false));
        write(&mut io, OWN).await;
        assert_eq!(io.inner.0, OWN);
    }

    #[tokio::test]
    async fn nothing_is_replaced_on_http2() {
        let timeouts = Timeouts::new();
        let mut io = WatchedIo::new(Narrow::default(), Arc::clone(&timeouts));
        write(&mut io, b"\0\0\0\x04\0\0\0\0\0").await;
        flush(&mut io).await;
        write(&mut io, OWN).await;
        assert!(io.inner.0.ends_with(OWN));
        let io = WatchedIo::new(Narrow::default(), Arc::clone(&timeouts));
        drop(timeouts.begin_response(true));
        assert!(!io.timeouts.is_at_boundary());
    }

    #[test]
    fn only_the_exact_shape_is_recognized_as_hypers_answer() {
        assert_eq!(status_of_own_answer(OWN), Some(StatusCode::BAD_REQUEST));
        let own = std::str::from_utf8(OWN).unwrap();
        assert!(status_of_own_answer(own.replace("HTTP/1.1", "HTTP/1.0").as_bytes()).is_some());
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
            assert_eq!(status_of_own_answer(other.as_bytes()), None, "{other}");
        }
    }
}
