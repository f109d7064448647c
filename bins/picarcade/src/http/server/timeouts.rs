//! The timeouts of one connection: how long it may be idle, and how long a head may take.
//!
//! hyper's own header timeout counts from the end of the last response, so it would cut every idle
//! keep-alive connection after ten seconds. Here the two are separate: an idle connection has 75 s,
//! and the first byte of a request starts the 10 s in which its head must be complete.
//!
//! A client that does not read its response is cut by the same clocks. A response of known length
//! counts as complete at once, so the idle timeout runs. A stream that cannot be written for the
//! idle timeout is ended.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be idle between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// A deadline that never comes: a request is being answered, and has its own deadlines.
const NEVER: u64 = u64::MAX;

/// A request is arriving or being answered, or none has come yet.
const IN_REQUEST: u32 = 0;

/// The next byte begins a new request.
const BETWEEN: u32 = 1;

/// HTTP/2: a frame may come at any time and does not begin a head, and a stop is part of the
/// protocol.
const MULTIPLEXED: u32 = 2;

/// How often a stop checks whether a connection is between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The state of one connection that the watchdog, the socket and the service share.
///
/// The watchdog decides by the deadline alone. Relaxed ordering is enough: a wake-up that reads an
/// old deadline only checks again.
#[derive(Debug)]
pub(super) struct Timeouts {
    begun: Instant,
    deadline_ms: AtomicU64,
    /// Requests that are being answered. HTTP/2 has several.
    answering: AtomicU32,
    /// [`IN_REQUEST`], [`BETWEEN`] or [`MULTIPLEXED`].
    phase: AtomicU32,
    /// When writing began to block, in milliseconds; [`NEVER`] after a successful write.
    stalled_ms: AtomicU64,
    /// Responses of the service that hyper has not taken completely.
    unsent: AtomicU32,
    /// Whether bytes of a response of the service may still wait in hyper's buffer. Set when a
    /// request begins; cleared by a flush that finds no response under way.
    writing: AtomicBool,
}

impl Timeouts {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            deadline_ms: AtomicU64::new(HEAD_TIMEOUT.as_millis() as u64),
            answering: AtomicU32::new(0),
            phase: AtomicU32::new(IN_REQUEST),
            stalled_ms: AtomicU64::new(NEVER),
            unsent: AtomicU32::new(0),
            writing: AtomicBool::new(false),
        })
    }

    /// Returns the guard of a request whose head is complete. The guard ends when hyper has taken
    /// the whole response.
    pub(super) fn begin_response(self: &Arc<Self>, multiplexed: bool) -> ResponseGuard {
        self.answering.fetch_add(1, Ordering::Relaxed);
        self.unsent.fetch_add(1, Ordering::Relaxed);
        self.writing.store(true, Ordering::Relaxed);
        self.deadline_ms.store(NEVER, Ordering::Relaxed);
        if multiplexed {
            self.phase.store(MULTIPLEXED, Ordering::Relaxed);
        }
        ResponseGuard { timeouts: Arc::clone(self), multiplexed, complete: false }
    }

    /// Waits until a timeout of the connection has expired.
    ///
    /// Poll it after the connection, because bytes that the connection has just received may have
    /// brought the deadline nearer.
    pub(super) async fn expired(&self) {
        let mut sleep = pin!(tokio::time::sleep_until(self.begun + HEAD_TIMEOUT));
        poll_fn(|cx| {
            loop {
                if let Some(deadline) = self.deadline().filter(|deadline| *deadline < sleep.deadline()) {
                    sleep.as_mut().reset(deadline);
                }
                ready!(sleep.as_mut().poll(cx));
                if self.is_expired() {
                    return Poll::Ready(());
                }
                // While a request is answered, check again after the shortest time in which a
                // timeout can expire.
                sleep.as_mut().reset(self.deadline().unwrap_or_else(|| Instant::now() + HEAD_TIMEOUT));
            }
        })
        .await;
    }

    /// Returns the current deadline; `None` while a request is answered.
    fn deadline(&self) -> Option<Instant> {
        let deadline = self.deadline_ms.load(Ordering::Relaxed);
        (deadline != NEVER).then(|| self.begun + Duration::from_millis(deadline))
    }

    fn is_expired(&self) -> bool {
        let now = self.now_ms();
        let stalled = self.stalled_ms.load(Ordering::Relaxed);
        self.deadline_ms.load(Ordering::Relaxed) <= now
            || now.saturating_sub(stalled) >= IDLE_TIMEOUT.as_millis() as u64
    }

    /// Waits until the last request is answered and no byte of the next one has come. A connection
    /// without a request is not between two requests, because its first one may be on its way.
    pub(super) async fn between_requests(&self) {
        while self.phase.load(Ordering::Relaxed) == IN_REQUEST {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Records whether an attempt to write succeeded.
    pub(super) fn record_write(&self, succeeded: bool) {
        if succeeded {
            self.stalled_ms.store(NEVER, Ordering::Relaxed);
        } else {
            self.stalled_ms.fetch_min(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Records that hyper has flushed its buffer.
    pub(super) fn record_flush(&self) {
        if self.unsent.load(Ordering::Relaxed) == 0 {
            self.writing.store(false, Ordering::Relaxed);
        }
    }

    /// Records that bytes were received.
    pub(super) fn record_read(&self) {
        if self.phase.load(Ordering::Relaxed) == BETWEEN
            && self.phase.swap(IN_REQUEST, Ordering::Relaxed) == BETWEEN
        {
            self.deadline_ms.store(self.now_ms() + HEAD_TIMEOUT.as_millis() as u64, Ordering::Relaxed);
        }
    }

    /// Returns whether the next byte that hyper writes begins a message that is not the service's.
    ///
    /// hyper serves one request at a time on HTTP/1, and it calls `poll_flush` of the socket only
    /// after the last byte of its buffer is written. So the only message that can begin between a
    /// flush and the next request is hyper's own answer to malformed HTTP.
    pub(super) fn is_at_boundary(&self) -> bool {
        !self.writing.load(Ordering::Relaxed) && self.phase.load(Ordering::Relaxed) != MULTIPLEXED
    }

    fn record_complete(&self, multiplexed: bool) {
        if self.answering.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.deadline_ms.store(self.now_ms() + IDLE_TIMEOUT.as_millis() as u64, Ordering::Relaxed);
            self.phase.store(if multiplexed { MULTIPLEXED } else { BETWEEN }, Ordering::Relaxed);
        }
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

/// The guard of one request, held until hyper has taken the whole response.
#[derive(Debug)]
pub(super) struct ResponseGuard {
    timeouts: Arc<Timeouts>,
    multiplexed: bool,
    /// Whether the service has completed the response, so that only the client can delay the rest.
    complete: bool,
}

impl ResponseGuard {
    /// Records that the service has completed the response.
    pub(super) fn complete(&mut self) {
        if !std::mem::replace(&mut self.complete, true) {
            self.timeouts.record_complete(self.multiplexed);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.complete();
        self.timeouts.unsent.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(timeouts: &Timeouts) -> Duration {
        let begun = Instant::now();
        timeouts.expired().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_head_timeout() {
        assert_eq!(waited(&Timeouts::new()).await, HEAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_after_an_idle_time_starts_the_head_timeout() {
        let timeouts = Timeouts::new();
        drop(timeouts.begin_response(false));
        tokio::time::advance(IDLE_TIMEOUT.checked_sub(Duration::from_secs(1)).unwrap()).await;
        timeouts.record_read();
        tokio::time::advance(Duration::from_secs(4)).await;
        timeouts.record_read();
        assert_eq!(waited(&timeouts).await, HEAD_TIMEOUT.checked_sub(Duration::from_secs(4)).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_of_a_head_shortens_a_wait_that_has_begun() {
        let timeouts = Timeouts::new();
        drop(timeouts.begin_response(false));
        let mut expired = pin!(timeouts.expired());
        let begun = Instant::now();
        assert!(tokio::time::timeout(Duration::from_secs(20), expired.as_mut()).await.is_err());
        timeouts.record_read();
        expired.await;
        assert_eq!(begun.elapsed(), Duration::from_secs(20) + HEAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_does_not_time_out() {
        let timeouts = Timeouts::new();
        let guard = timeouts.begin_response(false);
        assert!(tokio::time::timeout(Duration::from_secs(3600), timeouts.expired()).await.is_err());
        drop(guard);
        assert!(waited(&timeouts).await >= IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_the_client_does_not_read_times_out() {
        let timeouts = Timeouts::new();
        let _guard = timeouts.begin_response(false);
        timeouts.record_write(false);
        tokio::time::advance(Duration::from_secs(60)).await;
        timeouts.record_write(true);
        timeouts.record_write(false);
        timeouts.record_write(false);
        let waited = waited(&timeouts).await;
        assert!(waited >= IDLE_TIMEOUT && waited <= IDLE_TIMEOUT + HEAD_TIMEOUT, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_a_request_that_may_be_on_its_way() {
        let timeouts = Timeouts::new();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, timeouts.between_requests()).await.is_err());
        let guard = timeouts.begin_response(false);
        assert!(tokio::time::timeout(second, timeouts.between_requests()).await.is_err());
        drop(guard);
        timeouts.between_requests().await;
        timeouts.record_read();
        assert!(tokio::time::timeout(second, timeouts.between_requests()).await.is_err());
        let _streams = timeouts.begin_response(true);
        timeouts.between_requests().await;
    }
}
